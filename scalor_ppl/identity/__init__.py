"""Who is who: identities that outlast the trackers, by what objects look like."""

from scalor_ppl.identity.gaps import Gaps, Join
from scalor_ppl.identity.identities import AHEAD, Identities, Sight
from scalor_ppl.identity.meetings import Event, Meetings, SeenObject
from scalor_ppl.identity.recognise import recognised, sights_of
from scalor_ppl.identity.telling import Telling

__all__ = [
    "AHEAD",
    "Event",
    "Gaps",
    "Identities",
    "Join",
    "Meetings",
    "SeenObject",
    "Sight",
    "Telling",
    "recognised",
    "sights_of",
]
