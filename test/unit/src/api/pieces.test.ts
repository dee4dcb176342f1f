import assert from 'node:assert/strict';
import { jsonList, jsonOfSteps, jsonTexts, type Steps } from '../../../../src/api/pieces.ts';

describe('answers in pieces', () => {
  it('lists are put together to JSON, also empty ones', () => {
    for (const values of [[], [1], ['é', { a: [null] }, 3]]) {
      const pieces = [...jsonList(jsonTexts(values))];
      assert.deepEqual(JSON.parse(pieces.join('')), values);
      assert.ok(pieces.length > values.length);
    }
  });

  it('steps give nothing until their end', () => {
    function* steps(): Steps<object> {
      yield '';
      yield '';
      return { done: 1 };
    }
    assert.deepEqual([...jsonOfSteps(steps())], ['', '', '{"done":1}']);
  });
});
