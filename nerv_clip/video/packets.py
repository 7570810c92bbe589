"""Packets of a stream, before they are decoded: which frames to expect, and what is damaged."""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import NamedTuple

import av
from av.container import InputContainer

# Codecs with one shown frame a packet. Packets of others, such as VP8, may hold none.
ONE_FRAME_A_PACKET = frozenset({"av1", "h264", "hevc", "vp9"})


class Packet(NamedTuple):
    """A packet; ``shown`` and ``decoded`` are times in the stream's time base."""

    shown: int | None
    decoded: int
    key: bool
    damaged: bool


def read_packets(container: InputContainer, stream: av.VideoStream) -> list[Packet]:
    """The packets of a stream in decoding order, without those that are not to be shown."""
    found = []
    for packet in container.demux(stream):
        if packet.size and not packet.is_discard:
            decoded = packet.pts if packet.dts is None else packet.dts
            found.append(
                Packet(packet.pts, decoded or 0, packet.is_keyframe, bool(packet.is_corrupt))
            )
    return found


def joins(packets: list[Packet], second: float) -> set[int]:
    """Where another recording begins: the indices of key packets at which the clock jumps.

    ``second`` is a second in the stream's time base.
    """
    steps = enumerate(pairwise(packets), start=1)
    return {
        index
        for index, (before, after) in steps
        if after.key and not 0 < after.decoded - before.decoded < second
    }


def is_damaged(packets: list[Packet], joined: set[int]) -> bool:
    """Whether a packet is damaged or was cut short.

    A parser also marks the last packet before a join, or the one before that.
    """
    return any(
        packet.damaged and not joined & {index + 1, index + 2}
        for index, packet in enumerate(packets)
    )


def packets_from(packets: list[Packet], first: int | None) -> list[Packet]:
    """The packets from that of the frame which is shown at ``first`` on.

    Frames that are decoded before it, but shown later, belong to them.
    """
    start = next((i for i, packet in enumerate(packets) if packet.shown == first), 0)
    while start and not packets[start].key and (packets[start - 1].shown or 0) > (first or 0):
        start -= 1
    return packets[start:]


def leading_frames(packets: list[Packet], first: int | None) -> int:
    """How many packets of the first group have frames that are to be shown before ``first``."""
    if first is None:
        return 0
    group = takewhile(lambda packet: not packet.key, packets[1:])
    return sum(p.shown is not None and p.shown < first for p in group)


def expected_times(packets: list[Packet], codec: str, first: int | None) -> list[int]:
    """The times of all frames from ``first`` on, rising; empty where packets do not tell them."""
    times = [packet.shown for packet in packets if packet.shown is not None]
    unknown = len(times) < len(packets) or len(set(times)) < len(times)
    if first is None or unknown or codec not in ONE_FRAME_A_PACKET:
        return []
    return sorted(time for time in times if time >= first)
