"""What the table has and omma does not: operator, work, the peer to beat.

Who adds the operator to omma moves its lines to the rows of a family. The harness fails while a line stands here
for something that omma has.
"""

NOT_YET = [
    ("batch_norm", "train 16x64x56²", "torch"),
    ("auc", "1e6", "sklearn"),
]


def stale() -> list[str]:
    """Operators that stand here although omma has them."""
    import omma

    operators = dict.fromkeys(operator for operator, _, _ in NOT_YET)
    return [o for o in operators if hasattr(omma, o)]
