"""The viewers of the benchmark read what the hub writes, however the bytes come."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.viewers import Counter, Frames, masked
from hub.live import LiveFrame
from hub.live.frames import PING

PAYLOADS = st.lists(st.tuples(st.integers(0, 70_000), st.booleans()), min_size=1, max_size=6)


@settings(deadline=None)
@given(payloads=PAYLOADS, step=st.integers(1, 100_000))
def test_frames_are_cut_inflated_and_counted(payloads: list[tuple[int, bool]], step: int) -> None:
    texts = [(b"0123456789" * (size // 10 + 1))[:size] for size, _ in payloads]
    data = b"".join(
        LiveFrame(text).wire(deflate=deflate) for text, (_, deflate) in zip(texts, payloads, strict=True)
    )
    step = max(step, len(data) // 200 + 1)
    frames, counter = Frames(), Counter()
    found = []
    for start in range(0, len(data), step):
        piece = data[start : start + step]
        assert not counter.feed(piece)
        found += frames.feed(piece)
    assert found == [(1, text) for text in texts]
    assert (counter.frames, counter.bytes) == (len(texts), len(data))


def test_a_ping_is_noticed_between_others() -> None:
    text = LiveFrame(b"x" * 300).wire(deflate=False)
    counter = Counter()
    assert counter.feed(text + PING + text)
    assert not counter.feed(text)
    assert counter.frames == 4


def test_what_a_client_says_is_masked() -> None:
    assert masked(1, b"hi") == b"\x81\x82\x00\x00\x00\x00hi"
