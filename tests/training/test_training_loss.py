"""The chunked loss against torch's own, and attention that stays inside each dialogue."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GPTBigCodeConfig, GPTBigCodeForCausalLM

from training import attention, multi_query
from training.collator import IGNORED
from training.loss import TrainedLoss
from training.model import grow

ROWS, WIDTH = 96, 32


def small(**keys):
    torch.manual_seed(0)
    sizes = {"n_embd": WIDTH, "n_layer": 2, "n_head": 4, "initializer_range": 0.3, "n_positions": keys.pop("n_positions", 64)}
    dropouts = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    return GPTBigCodeForCausalLM(GPTBigCodeConfig(vocab_size=ROWS, bos_token_id=0, eos_token_id=0, **sizes, **dropouts, **keys))


def batch(seed=1):
    """Two blocks of 40: dialogues of 11, 17 and 12 tokens, and of 25 and 15."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, ROWS, (2, 40), generator=generator)
    lengths = [(11, 17, 12), (25, 15)]
    positions = torch.stack([torch.cat([torch.arange(one) for one in row]) for row in lengths])
    targets = torch.where(torch.rand(2, 40, generator=generator) < 0.5, ids.roll(-1, 1), IGNORED)
    return ids, positions, targets, lengths


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_chunked_loss_and_its_gradients_are_torchs_own(chunk):
    ids, positions, targets, _ = batch()
    ours, theirs = small(), small()
    loss = TrainedLoss(ours, chunk)(ids, positions, targets)
    (loss * 0.5).backward()
    logits = theirs(ids, position_ids=positions, use_cache=False).logits
    reference = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    (reference * 0.5).backward()
    assert torch.allclose(loss, reference, rtol=1e-5)
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-4, rtol=1e-3), name


def test_a_batch_without_targets_has_loss_and_gradients_of_zero():
    ids, positions, targets, _ = batch()
    model = small()
    loss = TrainedLoss(model, 8)(ids, positions, torch.full_like(targets, IGNORED))
    loss.backward()
    assert loss == 0 and all((one.grad == 0).all() for one in model.parameters() if one.grad is not None)


@pytest.mark.parametrize("multi_query", [True, False])
def test_packed_dialogues_get_the_logits_of_separate_runs(multi_query):
    ids, positions, _, lengths = batch()
    model = small(multi_query=multi_query)
    with torch.no_grad():
        packed = model(ids, position_ids=positions, use_cache=False).logits
        for row, parts in enumerate(lengths):
            alone = [model(one[None], use_cache=False).logits[0] for one in ids[row].split(list(parts))]
            assert (packed[row] - torch.cat(alone)).abs().max() < 1e-4


def test_the_packed_loss_is_the_sum_of_the_separate_losses():
    ids, positions, targets, lengths = batch()
    wrapped = TrainedLoss(small(), 16)
    with torch.no_grad():
        together = wrapped(ids, positions, targets)
        apart = torch.zeros(())
        for row, parts in enumerate(lengths):
            for one, wanted in zip(ids[row].split(list(parts)), targets[row].split(list(parts)), strict=True):
                apart += wrapped(one[None], torch.arange(len(one))[None], wanted[None])
    assert torch.allclose(together, apart, rtol=1e-5)


@pytest.mark.parametrize("kind", ["gpt_bigcode", "llama", "qwen2", "starcoder2"])
def test_attention_by_dialogue_gives_the_losses_and_gradients_of_the_mask(kind):
    ids, positions, targets, _ = batch()
    losses, gradients = [], []
    for isolated in (False, True):
        model = of_kind(kind)
        if isolated:
            attention.isolate(model)
            assert model.config._attn_implementation == attention.BY_DIALOGUE
        loss = TrainedLoss(model, 16)(ids, positions, targets)
        loss.backward()
        losses.append(loss)
        gradients.append([one.grad for one in model.parameters()])
    assert torch.allclose(*losses, rtol=1e-5)
    assert all(torch.allclose(one, other, atol=1e-3, rtol=1e-3) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_multi_query_attention_and_its_gradients_are_those_of_torchs_kernel(seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, (8, 64, 65, 130, 200, 300)[seed], (4,), generator=generator).tolist()
    heads, tokens = 2 + 3 * seed, sum(lengths)
    shapes = ((tokens, heads, 16), (tokens, 1, 16), (tokens, 1, 16))
    ours = [torch.randn(shape, generator=generator, dtype=torch.float64).mul(3).requires_grad_() for shape in shapes]
    theirs = [one.detach().clone().requires_grad_() for one in ours]
    found = multi_query.attend(*ours, lengths, None if seed % 2 else 0.3)
    expected = attention._by_kernel(tuple(theirs), lengths, 0.0, None if seed % 2 else 0.3)
    assert torch.allclose(found, expected, rtol=1e-10)
    along = torch.randn_like(found)
    for one, other in zip(torch.autograd.grad(found, ours, along), torch.autograd.grad(expected, theirs, along), strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_multi_query_attention_keeps_to_where_it_is_right_quick_and_small():
    query, key = torch.zeros(400, 4, 8), torch.zeros(400, 1, 8)
    assert multi_query.suits(query, key, 0.0, [200, 200]) and not multi_query.suits(query, key, 0.1, [200, 200])
    assert not multi_query.suits(query, query, 0.0, [400]) and not multi_query.suits(query[:, :1], key, 0.0, [400])
    assert not multi_query.suits(query.bfloat16(), key.bfloat16(), 0.0, [400])
    assert not multi_query.suits(query, key, 0.0, [100] * 4)
    assert not multi_query.suits(query, key, 0.0, [4000])  # 128 MB of weights


def test_a_model_trains_through_multi_query_attention_as_through_the_mask():
    lengths = (170, 230)
    positions = torch.cat([torch.arange(one) for one in lengths])[None]
    ids = torch.randint(1, ROWS, (1, 400), generator=torch.Generator().manual_seed(3))
    found = []
    for isolated in (False, True):
        model = small(n_positions=400)
        if isolated:
            attention.isolate(model)
        loss = TrainedLoss(model, 64)(ids, positions, ids.roll(-1, 1))
        loss.backward()
        found.append((loss, [one.grad for one in model.parameters()]))
    (loss, gradients), (other, others) = found
    assert multi_query.suits(torch.zeros(400, 4, 8), torch.zeros(400, 1, 8), 0.0, lengths)
    assert torch.allclose(loss, other, rtol=1e-5)
    assert all(torch.allclose(one, two, atol=1e-3, rtol=1e-3) for one, two in zip(gradients, others, strict=True))


@pytest.mark.parametrize(
    "more", [{"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 8}, {"model_type": "mistral"}]
)
def test_attention_by_dialogue_is_not_given_to_models_that_attend_otherwise(more):
    model = of_kind(more.pop("model_type"), **more)
    attention.isolate(model)
    assert model.config._attn_implementation == "sdpa"


def of_kind(kind, **more):
    torch.manual_seed(0)
    if kind == "gpt_bigcode":
        return small()
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = AutoConfig.for_model(
        kind, vocab_size=ROWS, intermediate_size=2 * WIDTH, initializer_range=0.3, max_position_embeddings=64, **sizes, **more
    )
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")


def test_flash_attention_is_given_the_borders():
    _, positions, _, _ = batch()
    given = attention.arguments("flash_attention_2", positions.reshape(1, -1))
    assert given["cu_seq_lens_q"].tolist() == [0, 11, 28, 40, 65, 80] and given["max_length_k"] == 25


def test_growing_keeps_old_rows_and_makes_new_ones_that_differ():
    model = small()
    old = model.get_input_embeddings().weight.detach().clone()
    grow(model, ROWS + 32, seed=5)
    table = model.get_input_embeddings().weight.detach()
    assert table.shape == (ROWS + 32, WIDTH) and torch.equal(table[:ROWS], old)
    new = table[ROWS:]
    assert model.lm_head.weight is model.get_input_embeddings().weight and model.config.vocab_size == ROWS + 32
    assert (new.mean(0) - old.mean(0)).abs().max() < 0.1 * old.std() and torch.pdist(new).min() > 0.01 * old.std()
    again = small()
    grow(again, ROWS + 32, seed=5)
    assert torch.equal(again.get_input_embeddings().weight, table)
