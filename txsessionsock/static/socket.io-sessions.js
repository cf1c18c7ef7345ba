/*
 * The client of socket.io-sessions, for socket.io-client 4.  Load it after socket.io.js:
 *
 *   <script src="/socket.io/socket.io.js"></script>
 *   <script src="/socket.io/socket.io-sessions.js" data-sid="<%= signedID %>"></script>
 *   <script>
 *     const socket = io.connectWithSession();
 *   </script>
 *
 * data-sid is what the session cookie has, signature and all; the server needs InBand()
 * for it.  Without it the cookie names the session, and no script can read the id:
 * then io.connectWithSession() is io(), and right is to leave this file out.
 *
 * new io.SessionSocket(sid, address, options) is the older form of the same.
 */
(function () {
  "use strict";

  if (typeof io !== "function") {
    throw new Error("socket.io-sessions.js comes after socket.io.js, which it needs");
  }
  const here = typeof document === "object" && document.currentScript;
  const given = here ? here.dataset.sid : undefined;

  io.connectWithSession = function (...where) {
    const socket = io(...where);
    return identified(socket, given, sid => socket.emit("connect_with_session", { __sid: sid }));
  };

  io.SessionSocket = function (sid, address, options) {
    const socket = address ? io(address, options ?? {}) : io(options ?? {});
    return identified(socket, sid ?? given, sid => socket.send({ __sid: sid, connect: 1 }));
  };

  function identified(socket, sid, say) {
    if (sid) {
      // What waits to be sent goes out before "connect" is told.  So this waits too,
      // before all else that waits.
      const sayFirst = () => {
        say(sid);
        socket.sendBuffer.unshift(socket.sendBuffer.pop());
      };
      sayFirst();
      socket.on("disconnect", sayFirst);
    }
    return socket;
  }
})();
