/** A module: what is right compiles, and each line that is wrong does not. */
import SessionSocket = require("sessionsock");

type In = { count: number };
type Out = { say: string };

const socket = new SessionSocket<In, Out>("/ws", { heartbeat: 0, protocols: ["chat"] });
const answer: "sent" | "queued" | false = socket.send({ say: "hello" });
const same: SessionSocket<In, Out> = socket
  .on("connect", () => console.log(socket.connected, socket.protocol, socket.url, answer))
  .on("message", ({ count }) => count.toFixed())
  .on("identity", ({ was, is, dropped: [first] }) => console.log(was ?? is, first?.say))
  .on("disconnect", ({ code, reason, willReconnect, unconfirmed = [] }) =>
    console.log(code.toFixed(), reason.trim(), willReconnect, unconfirmed[0]?.say),
  )
  .on("reconnecting", ({ attempt, delay }) => (attempt + delay).toFixed())
  .on("sinvalid", (reason) => reason.trim());
same.off("sinvalid", () => undefined).close();
same.close(4000, "bye");

const raw = new SessionSocket<SessionSocket.Raw, SessionSocket.RawSent>(
  new URL("wss://example.com/ws"),
  { messages: "raw", sid: () => "s:1" },
);
raw.on("message", (value) => (typeof value === "string" ? value.length : value.byteLength));
raw.send(new Uint8Array([1]).subarray(0));

new SessionSocket("/ws", { ticket: "/sessionsock/ticket" });
new SessionSocket("/ws", { ticket: new URL("https://example.com/sessionsock/ticket") });
// @ts-expect-error: It is an address.
new SessionSocket("/ws", { ticket: () => "a" });

const any = new SessionSocket("/ws");
any.send([1, null, "x"]);
// @ts-expect-error: Nobody has said what it is.
any.on("message", (value) => value.count);

// @ts-expect-error: There is no such event.
socket.on("conect", () => undefined);
// @ts-expect-error: Nor such an option.
new SessionSocket("/ws", { hartbeat: 1 });
// @ts-expect-error: Not what is sent here.
socket.send({ sey: "hello" });
// @ts-expect-error: It may be refused.
const sure: string = socket.send({ say: "hello" });
// @ts-expect-error: An object is no raw message.
raw.send({});
// @ts-expect-error: Only the script sets it.
socket.connected = true;
