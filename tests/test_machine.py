"""Threads within what the machine really grants."""

import math

import pytest

from brainseg import machine


@pytest.fixture(autouse=True)
def fresh():
    machine.usable_cores.cache_clear()
    yield
    machine.usable_cores.cache_clear()


def test_what_the_environment_asks_for(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.usable_cores() == 3


def test_a_container_s_quota_counts_not_its_host_s_cores(monkeypatch, tmp_path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert machine.usable_cores() == 64
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    machine.usable_cores.cache_clear()
    assert machine.usable_cores() == 2  # one and a half, rounded up


@pytest.mark.parametrize(
    "files, quota",
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_quotas_as_kernels_state_them(tmp_path, files, quota):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert machine._quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("told", "has"),
    [
        ("flags\t\t: avx2 avx512f avx512_vnni fxsr\n", True),
        ("flags\t\t: avx2 avx_vnni\n", True),
        ("flags\t\t: avx2 avx512f avx512bw\n", False),
        ("Features\t: fp asimd asimddp\n", True),
        (None, False),  # a system that does not tell
    ],
)
def test_int8_needs_its_own_instructions(monkeypatch, tmp_path, told, has):
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    if told:
        (tmp_path / "cpuinfo").write_text(told)
    assert machine.processor_has_int8() == has
