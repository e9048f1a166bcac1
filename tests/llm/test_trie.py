import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kitrec.llm.likelihood.trie import build_trie


def test_a_trie_by_hand():
    """Names 1 2 9, 1 3 9 and 4 9: the nodes are 1, 1-2, 1-3 and 4; the 9s are only predicted."""
    t = build_trie([[1, 2, 9], [1, 3, 9], [4, 9]])
    assert (
        t.tokens.tolist() == [1, 2, 3, 4] and t.parent.tolist() == [-1, 0, 0, -1] and t.depth.tolist() == [0, 1, 1, 0]
    )
    assert t.at.tolist() == [[-1, 0, 1], [-1, 0, 2], [-1, 3, -2]]
    assert t.token.tolist() == [[1, 2, 9], [1, 3, 9], [4, 9, 0]]
    assert t.attention_mask().astype(int).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]


def test_labels_of_one_token_need_no_node():
    t = build_trie([[5], [6], [7]])
    assert len(t.tokens) == 0 and t.at.tolist() == [[-1], [-1], [-1]] and t.token.ravel().tolist() == [5, 6, 7]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=20))
def test_every_step_is_predicted_by_the_node_of_its_prefix(names):
    t = build_trie(names)

    def prefix(node: int) -> list[int]:
        return [] if node < 0 else [*prefix(t.parent[node]), t.tokens[node]]

    for row, name in enumerate(names):
        for step in range(t.at.shape[1]):
            if step < len(name):
                assert prefix(t.at[row, step]) == name[:step] and t.token[row, step] == name[step]
            else:
                assert t.at[row, step] == -2
    assert len({tuple(prefix(k)) for k in range(len(t.tokens))}) == len(t.tokens)
    mask = t.attention_mask()
    assert all(np.count_nonzero(mask[k]) == t.depth[k] + 1 for k in range(len(t.tokens)))
