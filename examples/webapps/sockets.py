"""
The shop's sockets, whatever its pages are written in.
"""

import json
from pathlib import Path

from txsessionsock.protocol import SessionSocketProtocol


PAGE = Path(__file__).with_name("page")
GOODS = {good["name"] for good in json.loads((PAGE / "static/goods.json").read_bytes())}


class Basket(SessionSocketProtocol):
    """
    Shows a page what is in its session, and puts goods into the basket there.
    """

    def sessionConnected(self, session):
        self.show(session)

    def sessionMessageReceived(self, message, session):
        match message:
            case {"add": str(good)} if good in GOODS and whoIn(session):
                # In one step, so that what several add at once is all there.
                added = session.update(lambda data: add(data, good))
                return added.addCallback(lambda _: self.show(session, ["basket"]))

    def sessionChanged(self, session, keys):
        self.show(session, keys)

    def show(self, session, changed=()):
        self.send(
            {
                "who": whoIn(session),
                "basket": session.get("basket", {}),
                "changed": sorted(changed),
                # A session that lives in the browser's cookie.
                "readOnly": self.factory.sockets.framework.readOnly,
            }
        )


def whoIn(session):
    """
    Who is logged in.  Django names users by number, the others as they like.
    """
    return session.get("user") or session.get("_auth_user_id")


def add(data, good):
    basket = data.setdefault("basket", {})
    basket[good] = basket.get(good, 0) + 1
