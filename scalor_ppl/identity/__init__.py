"""Who is who: identities that outlast the trackers, by what objects look like."""

from scalor_ppl.identity.identities import AHEAD, Identities, Sight
from scalor_ppl.identity.recognise import recognised, sights_of

__all__ = ["AHEAD", "Identities", "Sight", "recognised", "sights_of"]
