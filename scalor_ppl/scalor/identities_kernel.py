"""The compiled loop that gives identities to tracker slots (numba), for the CPU."""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

from numba import boolean, float32, int64, void

from scalor_ppl.compiled import compiled

NUMBERS, FLAGS = int64[:, ::1], boolean[:, ::1]


# No fastmath: a comparison has to fall as it does in torch, and NaN compares false.
@compiled(error_model="numpy")
def _shares(where, video, i, j, square):  # type: ignore[no-untyped-def]
    """Whether slot i lies inside the ellipse of slot j; `square` of its radius, in boxes."""
    x = (where[video, i, 0] / 2 - where[video, j, 0] / 2) / where[video, j, 2]
    y = (where[video, i, 1] / 2 - where[video, j, 1] / 2) / where[video, j, 3]
    return x * x + y * y < square


@compiled(
    void(
        *(NUMBERS, NUMBERS, int64[::1], float32[:, :, ::1], int64, int64, float32, int64),
        *(FLAGS, NUMBERS, FLAGS, int64[::1], NUMBERS),
    ),
    error_model="numpy",
)
def identify(  # type: ignore[no-untyped-def]
    ids_before,
    doubled_before,
    origin,
    where,
    count,
    filled,
    square,
    longest,
    alive,
    ids,
    discovered,
    next_id,
    doubled,
):
    """See :func:`scalor_ppl.scalor.identities.identified`.

    Args:
        ids_before, doubled_before: ``[B, K']``.
        origin: ``[B * K]``.
        where: ``[B, K, 4]``.
        count, filled: of the selection.
        square: of the radius within which two share a place.
        longest: for how many frames they may; 0 is for ever.
        alive: ``[B, K]``, changed.
        ids, discovered, doubled: ``[B, K]``, filled.
        next_id: ``[B]``, changed.
    """
    videos, slots = alive.shape
    for video in range(videos):
        for slot in range(slots):
            row = origin[video * slots + slot] - video * count
            known = ids_before[video, row] if row < ids_before.shape[1] else -1
            survives = alive[video, slot] and known >= 0 and slot < filled
            discovered[video, slot] = alive[video, slot] and not survives
            doubled[video, slot] = 0
            ids[video, slot] = -1
            if survives:
                ids[video, slot] = known
                doubled[video, slot] = doubled_before[video, row]
            elif alive[video, slot]:
                ids[video, slot] = next_id[video]
                next_id[video] += 1
        for slot in range(slots):
            shared = False
            if longest > 0 and alive[video, slot]:
                for other in range(slots):
                    older = ids[video, other] >= 0 and ids[video, other] < ids[video, slot]
                    if older and _shares(where, video, slot, other, square):
                        shared = True
                        break
            doubled[video, slot] = doubled[video, slot] + 1 if shared else 0
        # Only now: who goes in this frame has been there for the others.
        for slot in range(slots):
            if longest > 0 and doubled[video, slot] >= longest:
                alive[video, slot] = False
                ids[video, slot] = -1
