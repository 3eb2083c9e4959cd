"""Lets in as many at a time as are answered soon, and tells the others to come again.

How many that is, nobody knows beforehand: it depends on the machine and on what else it does. So it is found as TCP
finds how fast a network is: a few more as long as answers come soon, half as many when one did not (Jacobson,
"Congestion Avoidance and Control", 1988). Without that a burst makes a queue, and everybody in it waits as long as it
is.
"""

from backbone.http.problems import too_many

SOON = 0.2
"""Seconds; less than half of what an answer may take, for those let in last wait longest."""
FEWEST = 16
"""Let in at a time however slow answers are: one held up by a lock or a pause says nothing of the others."""
FIRST = 64
GROWTH = 4
"""More let in at a time for each time that as many as are let in were answered soon."""


class Admission:
    """Counts who is under way, and decides who else may be."""

    def __init__(self, most: int) -> None:
        """`most`: how many at a time however soon they are answered."""
        self.most = most
        self.allowed = float(min(FIRST, most))
        self.under_way = 0
        self._cut_at = 0.0

    def enter(self) -> None:
        """Take a place, to be given back by `leave`. Raises Problem 429 when there is none."""
        if self.under_way >= self.allowed:
            detail = f"{self.under_way} requests are under way, as many as are answered soon. Try again in a moment."
            raise too_many("admission", detail, 1)
        self.under_way += 1

    def leave(self, came: float, now: float) -> None:
        """Give a place back, and learn from how long it was taken; both times in seconds of one clock."""
        if now - came <= SOON:
            if self.under_way * 2 >= self.allowed:
                self.allowed = min(self.allowed + GROWTH / self.allowed, self.most)
        elif came >= self._cut_at:  # those who came before have waited for what is mended already
            self.allowed = max(min(self.allowed, self.under_way) / 2, min(FEWEST, self.most))
            self._cut_at = now
        self.under_way -= 1
