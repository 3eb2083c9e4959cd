"""./sliceline contracts catalogue: build what people and tools read about every event."""

from pathlib import Path

from cli.console import console, fail


def catalogue(folder: str | None = None) -> None:
    """Build pages, AsyncAPI and schemas into a folder."""
    from deployment.objections import load_services
    from deployment.pages.build import build
    from deployment.pages.fresh import FOLDER

    services, unloaded = load_services()
    if unloaded:
        fail("\n".join(unloaded))
    place = Path(folder) if folder else FOLDER
    count = build(services, place)
    console.print(f"{count} files. Begin with {place / 'index.html'}", highlight=False, markup=False, soft_wrap=True)
