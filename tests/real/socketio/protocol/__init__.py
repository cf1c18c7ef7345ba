"""
The behaviour of Engine.IO v4 and Socket.IO v5, case by case, over real sockets, of any
server: C{python -m tests.real.socketio.protocol URL}.

The cases are those of the protocols' published texts and of their suites, and some
that these leave open.  The server has what the suites want of it: namespaces C{/} and
C{/custom}; on CONNECT, an event C{auth} with what came with it; C{message-back} with
the same arguments on an event C{message}, and an ack with them on C{message-with-ack};
and for cases of ours C{question} on C{ask}, whose ack comes back as C{answered}.
C{tests/e2e/socketio} has two such servers, C{conformance.py} and C{conformance.js}.
"""
