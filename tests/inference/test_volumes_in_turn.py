"""One network at a time, in the order of asking, and those who wait share a pass."""

import threading
import time

import numpy as np
import pytest

from brainseg.inference.turns import ALL_CORES, MOST_SLICES, Batcher, Turns


def planes(*values):
    return np.array(values, np.float32)[:, None, None, None]


def wait_until(condition):
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def ask_all(batcher, requests):
    """Every request from a thread of its own, all waiting before the first pass begins."""
    answers = [None] * len(requests)

    def ask(index):
        try:
            answers[index] = batcher(requests[index])
        except Exception as error:
            answers[index] = error

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(requests))]
    with ALL_CORES.taken():
        for count, thread in enumerate(threads, start=1):
            thread.start()
            wait_until(lambda count=count: len(batcher._waiting) == count)
    for thread in threads:
        thread.join(30)
    return answers


def test_those_who_wait_share_a_pass_and_get_their_own():
    sizes = []

    def double(x):
        sizes.append(len(x))
        return 2 * x[:, 0]

    requests = [planes(1), planes(2, 3), planes(4)]
    answers = ask_all(Batcher(double), requests)
    assert sizes == [4]
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer, 2 * request[:, 0])


def test_a_pass_takes_no_more_slices_than_fit():
    sizes = []

    def same(x):
        sizes.append(len(x))
        return x[:, 0]

    requests = [planes(*range(k, k + 6)) for k in range(5)]
    answers = ask_all(Batcher(same), requests)
    assert max(sizes) <= MOST_SLICES and sum(sizes) == 30 and len(sizes) == 3
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer, request[:, 0])


def test_an_error_reaches_all_it_concerns_and_nobody_later():
    def fail_at_thirteen(x):
        if (x == 13).any():
            raise ValueError("unlucky")
        return x[:, 0]

    batcher = Batcher(fail_at_thirteen)
    answers = ask_all(batcher, [planes(1), planes(13)])
    assert all(isinstance(answer, ValueError) for answer in answers)
    np.testing.assert_array_equal(batcher(planes(1)), [[[1]]])


def test_ctrl_c_stops_its_thread_and_leaves_the_cores_free():
    def interrupt(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Batcher(interrupt)(planes(1))
    np.testing.assert_array_equal(Batcher(lambda x: x[:, 0])(planes(2)), [[[2]]])


def test_turns_come_in_the_order_of_asking():
    turns, order = Turns(), []

    def take(number):
        with turns.taken():
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    with turns.taken():
        for count, thread in enumerate(threads, start=1):
            thread.start()
            wait_until(lambda count=count: len(turns._waiting) == count)
        order.append("first")
    for thread in threads:
        thread.join(30)
    assert order == ["first", 0, 1, 2, 3, 4]


def test_who_asks_again_queues_behind_those_who_wait():
    turns, order = Turns(), []

    def other():
        with turns.taken():
            order.append("other")

    thread = threading.Thread(target=other)
    with turns.taken():
        thread.start()
        wait_until(lambda: len(turns._waiting) == 1)
    with turns.taken():
        order.append("again")
    thread.join(30)
    assert order == ["other", "again"]


@pytest.mark.parametrize("is_late", [False, True])
def test_who_is_interrupted_while_waiting_holds_up_nobody(is_late):
    turns = Turns()

    class Impatient(threading.Event):
        def wait(self):
            if is_late:  # Ctrl-C comes when the turn has just come, too
                holder.__exit__(None, None, None)
            raise KeyboardInterrupt

    holder = turns.taken()
    holder.__enter__()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("brainseg.inference.turns.threading.Event", Impatient)
        with pytest.raises(KeyboardInterrupt), turns.taken():
            pass
    if not is_late:
        holder.__exit__(None, None, None)
    assert not turns._taken and not turns._waiting
    with turns.taken():
        pass
