import assert from 'node:assert/strict';
import type { PathView } from '../../../../../bgp/types.ts';
import {
  type SessionSurvey,
  type SurveyedSpeaker,
  type SurveyingNode,
  surveySessions,
} from '../../../../../src/agent/bgp/session-survey.ts';
import type { Steps } from '../../../../../src/api/pieces.ts';
import { prefixesEqual } from '../../../../../src/net/prefix.ts';
import { learned, peerConfig, prefix, stateOf, World } from '../../../bgp/speaker/world.ts';

const NODE: SurveyingNode = { name: 'h1', originates: () => false };

/** The result of a survey, how often it gave the event loop back, and the most peers looked at between two such times. */
function run(speaker: SurveyedSpeaker, node = NODE): { survey: SessionSurvey; steps: number; most: number } {
  let looked = 0;
  let most = 0;
  const counting: SurveyedSpeaker = {
    rib: speaker.rib,
    peerNames: () => speaker.peerNames(),
    ribPeerId: (name) => speaker.ribPeerId(name),
    peer: (name) => {
      looked++;
      return speaker.peer(name);
    },
  };
  const steps: Steps<SessionSurvey> = surveySessions(counting, node);
  for (let count = 0; ; count++) {
    const before = looked;
    const { done, value } = steps.next();
    most = Math.max(most, looked - before);
    if (done === true) return { survey: value, steps: count, most };
  }
}

/** Two hosts with a session, and many peers of the first that do not answer. */
function world(silent: number) {
  const made = new World();
  const [a, b] = [made.host(1), made.host(2)];
  const others = Array.from({ length: silent }, (_, index) =>
    peerConfig(`silent-${index}`, `192.0.2.${index + 10}`, 65001, 65002),
  );
  a.speaker.setPeers([a.config, ...others]);
  a.speaker.start();
  b.speaker.start();
  made.clock.until('up', () => stateOf(a) === 'Established');
  return { made, a, b };
}

describe('a survey of all sessions', () => {
  it('counts them, and says which are down', () => {
    const { a } = world(3);
    const { survey } = run(a.speaker);
    assert.equal(survey.peers, 4);
    assert.equal(survey.established, 1);
    assert.deepEqual(
      survey.findings.map(({ code, remedy }) => [code, remedy]),
      [0, 1, 2].map((index) => ['peer-down', `ocicat bgp peers silent-${index}`]),
    );
    assert.deepEqual([...surveySessions(undefined, NODE)], []);
  });

  it('gives the event loop back after each', () => {
    const { a } = world(200);
    const { survey, steps, most } = run(a.speaker);
    assert.equal(survey.peers, 201);
    assert.ok(steps >= 201, `${steps} steps`);
    assert.equal(most, 1);
  });

  it('goes on when peers go between two steps', () => {
    const { a } = world(5);
    const steps = surveySessions(a.speaker, NODE);
    steps.next();
    a.speaker.setPeers([a.config]);
    let result = steps.next();
    while (result.done !== true) result = steps.next();
    assert.equal(result.value.peers, 1);
  });

  it('finds routes of others with our own AS, and reads many of them in steps', () => {
    const { made, a, b } = world(0);
    b.speaker.originate(prefix('10.1.0.0/16'));
    made.clock.until('the route', () => learned(a).length === 1);
    const id = a.speaker.ribPeerId('peer');
    assert.ok(id !== undefined);
    const [real] = a.speaker.rib.received(id, 'ipv4');
    assert.ok(real);
    const looped: PathView = { ...real, unusable: 'as-path-loop' };
    const ours = prefix('10.65.1.0/26');
    const node: SurveyingNode = { name: 'h1', originates: (asked) => prefixesEqual(asked, ours) };
    let read = 0;
    const speaker: SurveyedSpeaker = {
      peerNames: () => a.speaker.peerNames(),
      peer: (name) => a.speaker.peer(name),
      ribPeerId: (name) => a.speaker.ribPeerId(name),
      rib: {
        familyStatus: (peer, family) => ({
          ...a.speaker.rib.familyStatus(peer, family),
          filtered: family === 'ipv4' ? 30_000 : 0,
        }),
        *received() {
          for (; read < 30_000; read++) yield read % 100 === 0 ? { ...looped, prefix: ours } : looped;
        },
      },
    };
    const { survey, steps } = run(speaker, node);
    assert.equal(read, 19_999, 'not all of a table that is full of them');
    assert.ok(steps > 1000, `${steps} steps`);
    assert.match(
      survey.findings[0]?.message ?? '',
      /^19800 routes of peer peer with our own AS \d+ in the AS path are not/,
    );
    assert.match(survey.findings[0]?.remedy ?? '', /Node h1: spec.bgp.asNumber/);
  });
});
