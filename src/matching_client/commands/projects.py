"""`matching projects`: the projects that look for advisors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import typer

from advisor_matching.v1.types_pb2 import Project, TechStack
from matching_client import ProjectNotFound
from matching_client.commands import views
from matching_client.commands.call import Call, command
from matching_client.commands.criteria import Complexity, Factors, Framework, Languages
from matching_client.commands.options import ProjectId
from matching_client.commands.output import Record

group = typer.Typer(name="projects", help="The projects that look for advisors.")


@command(group, "add", method="DirectoryService/UpsertProject")
def add(
    call: Call,
    project_id: Annotated[
        UUID | None, typer.Option("--id", help="The project; left out: a new one with a new id.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name. Left out with --from: that of the folder.")
    ] = None,
    owner_id: Annotated[
        UUID | None, typer.Option(help="The user who owns it; --user-id where left out.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Take framework, languages and factors from the manifests here: a folder, or one of"
            " package.json, pyproject.toml, requirements.txt, go.mod, Cargo.toml, composer.json, Gemfile,"
            " pom.xml, build.gradle and so on.",
        ),
    ] = None,
    framework: Framework = "",
    language: Languages = None,
    factor: Factors = None,
    complexity: Complexity = None,
    timezone: Annotated[str | None, typer.Option(help="The owner's IANA time zone.")] = None,
    locale: Annotated[str | None, typer.Option(help="The owner's locale, such as en.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what --from finds; nothing is called.")
    ] = False,
) -> None:
    """Adds a project, or with --id changes one that is there: what is left out stays as it is.

    --framework, --language and --factor go over what --from finds.
    """
    found = _found(call, source, dry_run)
    if dry_run:
        return
    project = _present(call, project_id)
    if found is not None:
        project.technology_stack.CopyFrom(found)
    _state(project.technology_stack, framework, language, factor)
    owner = owner_id or project.owner_id or call.given.user_id or ""
    given: dict[str, Any] = {
        "name": name or project.name or _folder(source),
        "owner_id": str(owner),
        "owner_timezone": timezone,
        "owner_locale": locale,
        "project_complexity": complexity,
    }
    for missing, option in (("name", "--name"), ("owner_id", "--owner-id")):
        if not given[missing]:
            raise ValueError(f"a new project needs {option}")
    project.MergeFrom(Project(**{field: value for field, value in given.items() if value}))
    stored = call.client.upsert_project(project)
    call.show(stored, lambda: views.project(stored))


@command(group, "get", method="DirectoryService/GetProject")
def get(call: Call, project_id: ProjectId) -> None:
    """Shows a project."""
    project = call.client.get_project(str(project_id))
    call.show(project, lambda: views.project(project))


def _found(call: Call, source: Path | None, dry_run: bool) -> TechStack | None:
    """What the manifests say, which is told as well. ValueError where nothing can be found there."""
    if source is None:
        if dry_run:
            raise ValueError("--dry-run is about --from")
        return None
    from matching_client.stack import detect_stack  # noqa: PLC0415 - parsers that no other command needs

    found = detect_stack(source)
    if dry_run:
        call.show(found, lambda: [Record(views.stack(found))])
    else:
        call.note("found " + "; ".join(f"{label}: {value or '-'}" for label, value in views.stack(found)))
    return found


def _present(call: Call, project_id: UUID | None) -> Project:
    """The project as it is; a blank one where there is none."""
    if project_id is not None:
        try:
            return call.client.get_project(str(project_id))
        except ProjectNotFound:
            pass
    return Project(id=str(project_id or uuid4()))


def _folder(source: Path | None) -> str:
    if source is None:
        return ""
    path = source.resolve()
    return (path if path.is_dir() else path.parent).name


def _state(stack: TechStack, framework: str, languages: list[str] | None, factors: list[str] | None) -> None:
    """Puts what was stated over what is there."""
    if framework:
        stack.framework = framework
    for values, field in ((languages, stack.languages), (factors, stack.complexity_factors)):
        if values:
            del field[:]
            field.extend(values)
