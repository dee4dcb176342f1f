/** The API's paths on the kernel's routes: the same for whoever holds a FIB programmer. */

import type { RouteTable } from '../../fib/routes/route-table.ts';
import { familiesWithoutRule } from '../../fib/routes/table-rules.ts';
import { takeOver } from '../../fib/routes/take-over.ts';
import type { BrakeEvent } from '../../fib/routes/types.ts';
import { problem } from '../api/problem.ts';
import type { ApiRoutes } from '../api/server.ts';
import type { Finding, ReleasedRoutesView, TakenRoutesView } from '../api/views.ts';
import { isRecord } from '../model/record.ts';
import { formatPrefix, parsePrefix } from '../net/prefix.ts';
import { prefixOrAddress } from './bgp-routes.ts';
import {
  fibRoutes,
  fibRoutesIn,
  fibRoutesOfAddress,
  fibRoutesOfPrefix,
  foreignText,
  statesOf,
} from './fib-views.ts';
import type { Log } from './log.ts';

/** `/v1/routes...` */
export function fibApiRoutes(routes: RouteTable): ApiRoutes {
  return {
    'GET /v1/routes': ({ query }) => {
      const text = query.get('prefix');
      const names = query.getAll('state');
      const states = names.length === 0 ? undefined : statesOf(names);
      if (text === null)
        return { rows: states === undefined ? fibRoutes(routes) : fibRoutesIn(routes, states) };
      if (states !== undefined) throw problem('invalid', 'give a prefix or states, not both');
      const wanted = prefixOrAddress(text);
      return {
        rows:
          'address' in wanted
            ? fibRoutesOfAddress(routes, wanted.address)
            : fibRoutesOfPrefix(routes, wanted.prefix),
      };
    },
    'POST /v1/routes/release': () => ({ json: release(routes) }),
    'POST /v1/routes/take': ({ body }) => ({ json: take(routes, body) }),
  };
}

function release(routes: RouteTable): ReleasedRoutesView {
  const held = routes.held().map(({ family, held: count }) => ({ family, count }));
  routes.releaseHeld('an operator released them');
  return { released: held };
}

function take(routes: RouteTable, body: unknown): TakenRoutesView {
  const text = isRecord(body) ? body['prefix'] : undefined;
  const prefix = typeof text === 'string' ? parsePrefix(text) : undefined;
  if (prefix === undefined)
    throw problem(
      'invalid',
      `${JSON.stringify(text) ?? 'nothing'} is no prefix such as 10.1.0.0/16 or 2001:db8::/32`,
    );
  const result = takeOver(routes, prefix);
  if (!result.ok) {
    throw problem('conflict', `${formatPrefix(prefix)}: ${result.reason}`, {
      hint: `"ocicat routes ${formatPrefix(prefix)}" shows who has what.`,
    });
  }
  return {
    prefix: formatPrefix(prefix),
    taken: result.taken.map((route) => foreignText(routes.kernel.links, route)),
  };
}

/** Routes that the kernel never looks at. */
export function tableFindings(routes: RouteTable): Finding[] {
  const { table } = routes.kernel;
  return familiesWithoutRule(routes).map((family) => ({
    severity: 'warning',
    code: 'table-without-rule',
    message: `our ${family} routes are in table ${table}, and no routing rule leads there: packets do not follow them`,
    remedy: `ip ${family === 'ipv4' ? '-4' : '-6'} rule add lookup ${table}   # or for some packets only: "ip rule help"`,
  }));
}

/** Says what the brake on mass deletion does. */
export function logBrake(log: Log, event: BrakeEvent): void {
  const { family, held, of } = event;
  if (event.kind === 'held') {
    log.error(
      { family, held, of },
      'nearly all learned routes would go without a known cause; they stay until "ocicat routes release", or for five minutes',
    );
  } else if (event.kind === 'released')
    log.warn({ family, held, why: event.why }, 'the routes that were held go');
  else log.info({ family }, 'no route is held any more');
}
