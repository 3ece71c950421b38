"""`matching info`: which service answers, and how it is."""

from __future__ import annotations

from matching_client.commands import views
from matching_client.commands.call import Call
from matching_client.commands.output import Record
from matching_client.commands.times import local


def info(call: Call) -> None:
    """Says which service answers, in which version, and how it is. Needs no right."""
    answer = call.client.get_service_info()
    call.show(
        answer,
        lambda: [
            Record(
                [
                    ("service", answer.service),
                    ("version", answer.version),
                    ("status", answer.status),
                    ("address", call.address),
                    ("its time", local(answer.timestamp)),
                    ("provisions by itself", views.yes_or_no(answer.feature_flags.auto_provision)),
                ]
            )
        ],
    )
