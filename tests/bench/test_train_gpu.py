from bench.train_gpu import flops_per_token, qwen3_14b


def test_the_flops_ofqwen3_14b_from_its_published_size():
    """13.2 billion weights besides embeddings (model card): 4 FLOPs each, and attention, which is small at 1 token."""
    per_weight = 4 * 13.2e9
    assert 0.95 < flops_per_token(qwen3_14b(40), 100_000_000) / (per_weight + 12 * 40 * 5e7 * 5120) < 1.05
    short = flops_per_token(qwen3_14b(40), 5120)
    head = 4 * 5120 * 151_936 * 450 / 5120
    assert abs(short - (per_weight + head + 12 * 40 * 2560 * 5120)) / short < 0.02
