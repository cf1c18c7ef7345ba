/** The script of a page, where the class is a global. */
/// <reference path="../../txsessionsock/static/sessionsock.d.ts" />

const pageSocket = new SessionSocket("/ws");
pageSocket.on("identity", () => location.reload());
const pageOptions: SessionSocket.Options = { patience: 5000 };
