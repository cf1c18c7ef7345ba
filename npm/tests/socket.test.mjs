/** What the class does, in each form; more of it is tested in a real browser. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { asScript, forms, WebSocket } from "./package.mjs";

const every = { ...forms, "as a script": null };

for (const [name, form] of Object.entries(every)) {
  describe(name, () => {
    let SessionSocket, events;

    /** One that has connected, to a server that answers unless told otherwise. */
    const begun = (options = {}, { isOurs = true } = {}) => {
      const socket = new SessionSocket("ws://localhost/ws", options);
      events = [];
      for (const event of ["connect", "message", "disconnect", "sinvalid", "identity"])
        socket.on(event, (...details) => events.push([event, ...details]));
      const [server] = WebSocket.made.slice(-1);
      server.opens();
      if (isOurs) {
        server.tells("ready");
        server.tells('session {"id": "a", "identity": null}');
      }
      return { socket, server };
    };
    const names = () => events.map(([event]) => event);
    const plain = (value) => JSON.parse(JSON.stringify(value));

    beforeEach(() => {
      mock.timers.enable({ apis: ["setTimeout"] });
      globalThis.WebSocket = WebSocket;
      WebSocket.made = [];
      SessionSocket =
        form ?? asScript({ WebSocket, setTimeout, clearTimeout }).SessionSocket;
    });

    afterEach(() => {
      mock.timers.reset();
      delete globalThis.WebSocket;
    });

    test("asks for what only our server says, by a word of its own", () => {
      const words = [begun(), begun()].map(({ server }) => server.word);
      for (const word of words) assert.match(word, /^[0-9a-f]{32}$/);
      assert.notEqual(...words);
    });

    test("sends and gets JSON", () => {
      const { socket, server } = begun();
      assert.equal(socket.send({ to: ["Zoë"] }), "sent");
      assert.equal(server.sent.at(-1), '{"to":["Zoë"]}');
      server.says('{"from": [1, null]}');
      assert.deepEqual(plain(events), [["connect"], ["message", { from: [1, null] }]]);
    });

    test("keeps what is sent too early, and sends it in order", () => {
      const socket = new SessionSocket("ws://localhost/ws", { queue: 2, heartbeat: 0 });
      assert.deepEqual([1, 2, 3].map((n) => socket.send(n)), ["queued", "queued", false]);
      const [server] = WebSocket.made;
      server.opens();
      assert.equal(socket.send(4), "sent");
      assert.deepEqual(server.sent, ["1", "2", "4"]);
    });

    test("comes back after a loss, and tells what may not have arrived", () => {
      const { socket, server } = begun();
      socket.send("on its way");
      server.ends(1006);
      const [, , { willReconnect, unconfirmed }] = [, ...events.at(-1)];
      assert.deepEqual([willReconnect, plain(unconfirmed)], [true, ["on its way"]]);
      mock.timers.tick(500);
      assert.equal(WebSocket.made.length, 2);
    });

    test("tells when somebody else is logged in, before anything else", () => {
      const { server } = begun();
      server.tells('session {"id": "b", "identity": "zoe"}');
      server.says("1");
      assert.deepEqual(names(), ["connect", "identity", "message"]);
    });

    test("ends when there is no session", () => {
      const { server, socket } = begun({ grace: 0 });
      server.ends(4401, "session-destroyed");
      assert.deepEqual(plain(events.at(-1)), ["sinvalid", "destroyed"]);
      assert.equal(socket.send("too late"), false);
      mock.timers.tick(60_000);
      assert.equal(WebSocket.made.length, 1);
    });

    test("closes for good", () => {
      const { server, socket } = begun();
      socket.close(4000, "bye");
      assert.deepEqual(server.closed, [4000, "bye"]);
      server.ends(4000);
      mock.timers.tick(60_000);
      assert.equal(WebSocket.made.length, 1);
    });

    test("works with any server, as far as that goes", () => {
      const { server } = begun({ heartbeat: 0 }, { isOurs: false });
      server.says('"hello"');
      assert.deepEqual(events, [["connect"], ["message", "hello"]]);
      assert.equal(server.word, null);
    });

    test("refuses what it does not know", () => {
      assert.throws(() => new SessionSocket("ws://localhost/", { hartbeat: 1 }), /hartbeat/);
      assert.throws(() => begun().socket.on("conect", () => {}), /conect/);
    });
  });
}
