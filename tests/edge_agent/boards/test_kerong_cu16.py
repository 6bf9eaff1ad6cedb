"""The CU16's bytes: the manufacturer's examples, and a parser that noise, cuts and echoes do not confuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.boards.kerong_cu16 import Parser, Request, RequestParser, StatusFrame

REQUESTS = [
    ("02 00 30 03 35", cu16.status_request(0)),
    ("02 02 31 03 38", cu16.unlock_request(0, 2)),
    ("02 F0 32 03 27", cu16.status_of_all_request()),
    ("02 00 37 00 00 03 3C", cu16.pulse_time_request(0)),
    ("02 00 37 00 64 03 A0", cu16.pulse_time_request(0, 1000)),
]
ANSWERS = [
    ("02 00 35 01 00 01 00 03 3C", StatusFrame(0, cu16.STATUS_REPLY, bytes((1, 0, 1, 0)))),
    ("02 00 36 00 03 01 00 03 3F", StatusFrame(0, cu16.STATUS_OF_ALL_REPLY, bytes((0, 3, 1, 0)))),
    ("02 10 36 01 00 00 08 03 54", StatusFrame(1, cu16.STATUS_OF_ALL_REPLY, bytes((1, 0, 0, 8)))),
    ("02 00 35 0F 00 01 00 03 4A", StatusFrame(0, cu16.STATUS_REPLY, bytes((15, 0, 1, 0)))),
    ("02 00 38 0F 00 00 37 03 83", StatusFrame(0, cu16.PULSE_TIME_REPLY, bytes((15, 0, 0, 0x37)))),
    ("02 00 38 00 00 00 64 03 A1", StatusFrame(0, cu16.PULSE_TIME_REPLY, bytes((0, 0, 0, 0x64)))),
]
boards = st.integers(0, 9)
bits = st.integers(0, 0xFFFF)
statuses = st.builds(cu16.status_reply, boards, bits, bits)
host_frames = st.one_of(
    st.builds(cu16.status_request, boards),
    st.builds(cu16.unlock_request, boards, st.integers(0, 15)),
    st.builds(cu16.pulse_time_request, boards, st.one_of(st.none(), st.integers(10, 60_000))),
    st.just(cu16.status_of_all_request()),
)


@pytest.mark.parametrize(("text", "frame"), REQUESTS)
def test_requests_are_those_of_the_specification(text: str, frame: bytes) -> None:
    if "37 00 00" in text:
        # The specification asks for the pulse time with a short frame; boards take the long one with zeros too.
        assert frame == bytes.fromhex("02 00 37 00 00 03 3C")
    assert frame == bytes.fromhex(text)


@pytest.mark.parametrize(("text", "frame"), ANSWERS)
def test_answers_are_read_as_the_specification_says(text: str, frame: StatusFrame) -> None:
    assert Parser().feed(bytes.fromhex(text)) == [frame]


def test_bits_are_locks_from_the_lowest_on() -> None:
    (frame,) = Parser().feed(bytes.fromhex("02 10 36 01 80 02 08 03 D6"))
    assert (frame.hooks, frame.items) == (0x8001, 0x0802)
    (frame,) = Parser().feed(bytes.fromhex("02 00 38 0F 00 00 37 03 83"))
    assert frame.pulse_ms == 550


@given(boards, bits, bits)
def test_a_status_comes_back_as_it_was_sent(board: int, hooks: int, items: int) -> None:
    (frame,) = Parser().feed(cu16.status_reply(board, hooks, items))
    assert (frame.board, frame.kind, frame.hooks, frame.items) == (board, cu16.STATUS_REPLY, hooks, items)


@given(boards, st.integers(1, 6000))
def test_a_pulse_time_comes_back_as_it_was_sent(board: int, units: int) -> None:
    (frame,) = Parser().feed(cu16.pulse_time_reply(board, units * 10))
    assert (frame.board, frame.kind, frame.pulse_ms) == (board, cu16.PULSE_TIME_REPLY, units * 10)


@given(statuses)
def test_no_part_of_an_answer_is_an_answer(answer: bytes) -> None:
    for end in range(len(answer)):
        parser = Parser()
        assert parser.feed(answer[:end]) == []
        assert len(parser.feed(answer[end:])) == 1


@given(statuses, st.integers(0, 8), st.integers(1, 255))
def test_a_changed_byte_is_never_read_as_the_same_answer(answer: bytes, at: int, flip: int) -> None:
    wrong = bytearray(answer)
    wrong[at] ^= flip
    assert Parser().feed(bytes(wrong)) == []


@given(st.lists(statuses, max_size=6), st.data())
def test_answers_in_a_row_survive_any_cuts(answers: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(answers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser = Parser()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found.extend(parser.feed(stream[start:end]))
    assert found == [frame for answer in answers for frame in Parser().feed(answer)]
    assert parser.skipped_bytes == 0


@given(st.lists(st.one_of(host_frames, statuses), max_size=8))
def test_echoes_are_passed_over(frames: list[bytes]) -> None:
    parser = Parser()
    found = parser.feed(b"".join(frames))
    answers = [frame for frame in frames if len(frame) == 9]
    assert found == [frame for answer in answers for frame in Parser().feed(answer)]
    assert parser.echoes == len(frames) - len(answers)
    assert parser.skipped_bytes == 0


@given(st.binary(max_size=40).filter(lambda noise: b"\x02" not in noise), statuses)
def test_noise_before_an_answer_is_skipped_and_counted(noise: bytes, answer: bytes) -> None:
    parser = Parser()
    assert len(parser.feed(noise + answer)) == 1
    assert parser.skipped_bytes == len(noise)


@given(st.binary(max_size=60), statuses)
def test_any_noise_hides_one_answer_at_most(noise: bytes, answer: bytes) -> None:
    parser = Parser()
    expected = Parser().feed(answer)
    found = parser.feed(noise) + parser.feed(answer) + parser.feed(answer) + parser.feed(answer)
    assert found[-2:] == expected * 2


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_what_is_kept_is_shorter_than_a_frame(chunks: list[bytes]) -> None:
    parser = Parser()
    fed = 0
    for chunk in chunks:
        fed += len(chunk)
        parser.feed(chunk)
    before = parser.skipped_bytes
    parser.reset()
    assert parser.skipped_bytes - before <= 8
    assert parser.skipped_bytes <= fed


def test_a_wrong_sum_is_counted() -> None:
    parser = Parser()
    assert parser.feed(bytes.fromhex("02 00 35 01 00 01 00 03 3D")) == []
    assert parser.checksum_errors == 1


def test_a_byte_of_data_that_looks_like_a_frame_does_not_split_it() -> None:
    answer = cu16.status_reply(0, 0x3002, 0x3503)
    assert Parser().feed(answer) == [StatusFrame(0, cu16.STATUS_REPLY, bytes((0x02, 0x30, 0x03, 0x35)))]


def test_an_unfinished_frame_is_forgotten_on_reset() -> None:
    parser = Parser()
    answer = cu16.status_reply(1, 5, 6)
    parser.feed(answer[:5])
    parser.reset()
    assert parser.feed(answer[5:]) == []
    assert parser.skipped_bytes == len(answer)


def test_a_delayed_unlock_echo_is_told_from_its_answer() -> None:
    body = bytes((0x02, 0x00, 0x39, 0x05, 0x03))
    echo = body + bytes((sum(body) & 0xFF,))
    parser = Parser()
    assert parser.feed(echo) == []
    assert parser.feed(cu16.status_reply(0, 1, 0)) == [StatusFrame(0, cu16.STATUS_REPLY, bytes((1, 0, 0, 0)))]
    assert parser.echoes == 1


@given(st.lists(host_frames, max_size=8), st.data())
def test_a_board_reads_requests_through_any_cuts(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser = RequestParser()
    found: list[Request] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found.extend(parser.feed(stream[start:end]))
    assert found == [request for frame in frames for request in RequestParser().feed(frame)]
    assert len(found) == len(frames)


def test_a_board_skips_what_is_no_request() -> None:
    parser = RequestParser()
    assert parser.feed(b"\x00\x02\x00\x99" + cu16.unlock_request(3, 15)) == [Request(3, 15, cu16.UNLOCK, b"")]
    assert parser.skipped_bytes == 4
    assert parser.feed(bytes.fromhex("02 00 30 03 36")) == []


@pytest.mark.parametrize("board", [-1, 10])
def test_there_are_ten_boards(board: int) -> None:
    with pytest.raises(ValueError, match="boards 0 to 9"):
        cu16.status_request(board)


@pytest.mark.parametrize("lock", [-1, 16])
def test_there_are_sixteen_locks(lock: int) -> None:
    with pytest.raises(ValueError, match="locks 0 to 15"):
        cu16.unlock_request(0, lock)


@pytest.mark.parametrize("pulse_ms", [0, 9, 60_001])
def test_a_pulse_time_out_of_range_is_refused(pulse_ms: int) -> None:
    with pytest.raises(ValueError, match="10 to 60000 ms"):
        cu16.pulse_time_request(0, pulse_ms)
