// The worker as the page sees it, with a worker that is none, and a clock that this test moves.

import assert from "node:assert/strict";
import { beforeEach, describe, mock, test } from "node:test";
import { LIMIT, Python } from "../python/python.js";

class FakeWorker {
  asked = [];
  ended = false;

  postMessage(message) {
    if (!message.places) this.asked.push(message.given);
  }

  terminate() {
    this.ended = true;
  }

  say(data) {
    this.onmessage({ data });
  }
}

describe("a worker", () => {
  let workers, states, python;

  beforeEach(() => {
    mock.timers.reset();
    mock.timers.enable({ apis: ["setTimeout"] });
    [workers, states] = [[], []];
    const create = () => {
      workers.push(new FakeWorker());
      return workers.at(-1);
    };
    python = new Python(create, [], (state) => states.push(state), () => {});
  });

  test("has no limit until it is ready", async () => {
    const answer = python.ask("answer", "spec");
    mock.timers.tick(10 * LIMIT);
    workers[0].say({ ready: true });
    workers[0].say({ result: "valid" });
    assert.equal(await answer, "valid");
    assert.equal(workers.length, 1);
  });

  test("is waited for until the page has had an answer, however slow it is", async () => {
    const answer = python.ask("answer", "spec");
    workers[0].say({ ready: true });
    for (const _ of [1, 2, 3]) mock.timers.tick(LIMIT);
    assert.deepEqual(states.slice(-2), ["slow", "slow"]);
    workers[0].say({ result: "valid" });
    assert.equal(await answer, "valid");
    assert.equal(workers.length, 1);
  });

  // An answer, and one that is stopped: after it the next worker has just started.
  async function restart() {
    const quick = python.ask("answer", "quick");
    workers[0].say({ ready: true });
    workers[0].say({ result: "valid" });
    await quick;
    const stopped = assert.rejects(python.ask("answer", "slow"), /longer than 5 seconds and was stopped/);
    mock.timers.tick(LIMIT);
    await stopped;
    assert.equal(workers[0].ended, true);
  }

  test("whose first answer is slow is asked again, once", async () => {
    await restart();
    const answer = python.ask("answer", "spec");
    const other = python.ask("hint", "place");
    workers[1].say({ ready: true });
    mock.timers.tick(LIMIT);
    assert.equal(workers[1].ended, true);
    workers[2].say({ ready: true });
    assert.deepEqual(workers[2].asked, ["spec"]);
    workers[2].say({ result: "valid" });
    assert.equal(await answer, "valid");
    workers[2].say({ result: "hint" });
    assert.equal(await other, "hint");
  });

  test("that is slow twice is stopped, with a sentence", async () => {
    await restart();
    const failed = assert.rejects(python.ask("answer", "spec"), /longer than 5 seconds and was stopped/);
    for (const index of [1, 2]) {
      workers[index].say({ ready: true });
      mock.timers.tick(LIMIT);
    }
    await failed;
    assert.equal(workers.length, 4);
  });

  test("that has answered is not asked again", async () => {
    const quick = python.ask("answer", "spec");
    workers[0].say({ ready: true });
    workers[0].say({ result: "valid" });
    await quick;
    const slow = python.ask("answer", "slow");
    const failed = assert.rejects(slow, /longer than 5 seconds and was stopped/);
    mock.timers.tick(LIMIT);
    await failed;
    workers[1].say({ ready: true });
    assert.deepEqual(workers[1].asked, []);
  });

  test("answers the newest spec after a restart", async () => {
    const old = python.ask("answer", "old");
    workers[0].say({ ready: true });
    const newer = python.ask("answer", "newer");
    mock.timers.tick(LIMIT);
    assert.equal(await old, null);
    workers[1].say({ ready: true });
    assert.deepEqual(workers[1].asked, ["newer"]);
    workers[1].say({ result: "valid" });
    assert.equal(await newer, "valid");
  });
});
