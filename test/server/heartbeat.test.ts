/** Heartbeats of one connection, with time and turns in hand. */
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../src/clock.ts";
import { Heartbeat } from "../../src/server/heartbeat.ts";
import { Turn } from "../../src/turn.ts";

const INTERVAL_SECONDS = 10;

class Peer {
  readonly clock = new VirtualClock(0);
  readonly #ends: (() => void)[] = [];
  readonly #turn = new Turn((run) => void this.#ends.push(run));
  /** Whether something else was sent since the last look. */
  spoke = false;
  /** Whether the peer is read from. */
  hears = true;
  /** When heartbeats were sent, in seconds. */
  readonly sentAt: number[] = [];
  readonly expiredAt: number[] = [];
  readonly heartbeat = new Heartbeat(INTERVAL_SECONDS, this.clock, this.#turn, {
    spoke: () => {
      const spoke = this.spoke;
      this.spoke = false;
      return spoke;
    },
    hears: () => this.hears,
    send: () => void this.sentAt.push(this.clock.now() / 1000),
    expired: () => void this.expiredAt.push(this.clock.now() / 1000),
  });

  endTurn(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  /** Second by second, a turn each; `each` is what happens in it. */
  live(seconds: number, each?: () => void): void {
    for (let second = 0; second < seconds; second++) {
      this.clock.advance("1s");
      each?.();
      this.endTurn();
    }
  }
}

describe("a heartbeat is sent", () => {
  test("every half interval while there is nothing else to say", () => {
    const peer = new Peer();
    peer.live(30, () => peer.heartbeat.received());
    expect(peer.sentAt).toEqual([5, 10, 15, 20, 25, 30]);
  });

  test("not when something was said since the last look", () => {
    const peer = new Peer();
    peer.live(12, () => {
      peer.heartbeat.received();
      if (peer.clock.now() <= 7000) peer.spoke = true;
    });
    // Said until second 7: the looks at 5 and 10 see it, the one at 15 does not.
    expect(peer.sentAt).toEqual([]);
    peer.live(8, () => peer.heartbeat.received());
    expect(peer.sentAt).toEqual([15, 20]);
  });

  test("not after the connection has stopped it", () => {
    const peer = new Peer();
    peer.live(6);
    peer.heartbeat.stop();
    peer.live(100);
    expect([peer.sentAt, peer.expiredAt]).toEqual([[5], []]);
  });

  test("not when it was stopped between the timer and the end of the turn", () => {
    const peer = new Peer();
    peer.clock.advance("5s");
    peer.heartbeat.stop();
    peer.endTurn();
    expect(peer.sentAt).toEqual([]);
  });
});

describe("a peer", () => {
  test("that is never heard is given up after two intervals of silence, once", () => {
    const peer = new Peer();
    peer.live(100);
    // Until the first look it has been heard: it opened the connection.
    expect(peer.expiredAt).toEqual([25]);
    expect(peer.sentAt).toEqual([5, 10, 15, 20]);
  });

  test("that is not read from cannot be heard, and is not given up for that", () => {
    const peer = new Peer();
    peer.hears = false;
    peer.live(10 * INTERVAL_SECONDS);
    expect(peer.expiredAt).toEqual([]);
    peer.hears = true;
    peer.live(3 * INTERVAL_SECONDS);
    expect(peer.expiredAt).toHaveLength(1);
  });

  test("that falls silent is given up two to two and a half intervals later", () => {
    for (let last = 1; last <= 60; last++) {
      const peer = new Peer();
      peer.live(last, () => peer.heartbeat.received());
      peer.live(60);
      expect(peer.expiredAt).toHaveLength(1);
      const silence = peer.expiredAt[0]! - last;
      expect([last, silence >= 20 && silence <= 25]).toEqual([last, true]);
    }
  });

  test("that says something in time is kept for ever", () => {
    const peer = new Peer();
    peer.live(1000, () => {
      if (peer.clock.now() % 19_000 === 0) peer.heartbeat.received();
    });
    expect(peer.expiredAt).toEqual([]);
  });

  test("is not given up because time jumped: it could not be heard in between", () => {
    const peer = new Peer();
    peer.live(10, () => peer.heartbeat.received());
    peer.clock.advance("8h");
    peer.endTurn();
    expect(peer.expiredAt).toEqual([]);
    // It is well, and answers in the next turn.
    peer.heartbeat.received();
    peer.live(4);
    expect(peer.expiredAt).toEqual([]);
  });

  test("whose words come in the turn in which the timer rings is heard", () => {
    const peer = new Peer();
    peer.live(24);
    peer.clock.advance("1s");
    peer.heartbeat.received();
    peer.endTurn();
    expect(peer.expiredAt).toEqual([]);
    peer.live(19);
    expect(peer.expiredAt).toEqual([]);
    peer.live(6);
    expect(peer.expiredAt).toHaveLength(1);
  });
});
