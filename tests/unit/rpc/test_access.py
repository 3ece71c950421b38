from __future__ import annotations

import pkgutil
from importlib import import_module

import advisor_matching.v1 as contract
from matching_server.domain.model import Role
from matching_server.rpc.access import ACCESS, SERVICES, Kind, methods_of


def described() -> dict[str, list[str]]:
    """Every service and method of every generated module, found without the table."""
    found = {}
    for module in pkgutil.iter_modules(contract.__path__):
        if module.name.endswith("_pb2"):
            descriptor = import_module(f"{contract.__name__}.{module.name}").DESCRIPTOR
            for name, service in descriptor.services_by_name.items():
                found[name] = [method.name for method in service.methods]
    return found


def test_every_method_of_the_contract_is_in_the_table() -> None:
    assert {name: list(methods) for name, methods in ACCESS.items()} == described()
    assert SERVICES.keys() == ACCESS.keys()


def test_only_the_system_service_is_unsigned() -> None:
    for service in SERVICES.values():
        for method in methods_of(service):
            assert (method.roles is None) == (service.name == "SystemService")


def test_kinds_follow_from_the_contract() -> None:
    kinds = {m.path.rpartition("/")[2]: m.kind for s in SERVICES.values() for m in methods_of(s)}
    assert kinds["CreateMatch"] is Kind.MUTATION
    assert kinds["GetMatch"] is Kind.READ
    assert kinds["WatchProjectEvents"] is Kind.STREAM
    reading = {name for name, kind in kinds.items() if kind is Kind.READ}
    assert {name for name in kinds if name.startswith(("Get", "List"))} <= reading
    assert reading - {"SimulateMatch", "ExplainMatch", "AuditInvariants"} == {
        name for name in reading if name.startswith(("Get", "List"))
    }


def test_admins_alone_call_the_admin_service() -> None:
    assert all(method.roles == frozenset({Role.ADMIN}) for method in methods_of(SERVICES["AdminService"]))


def test_an_admin_may_what_a_service_may_except_chat() -> None:
    for service in SERVICES.values():
        for method in methods_of(service):
            if method.roles and Role.SERVICE in method.roles and service.name != "ChatService":
                assert Role.ADMIN in method.roles
    assert all(Role.ADMIN not in (method.roles or ()) for method in methods_of(SERVICES["ChatService"]))


def test_requests_with_an_id_are_recognized() -> None:
    with_id = {m.name for s in SERVICES.values() for m in methods_of(s) if m.has_request_id}
    assert with_id == {
        "CreateMatch",
        "AssignAdvisor",
        "CreatePreferenceRule",
        "RetryProvisioning",
        "RepairInvariants",
    }
