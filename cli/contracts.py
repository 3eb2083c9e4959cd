"""./sliceline contracts: writes down what each reader uses of an event, and the catalogue of all events."""

from cli.console import console


def contracts() -> None:
    """Write schemas/consumers/ and docs/events.md anew from what the services publish and handle."""
    from cli.catalogue import committed, generated

    files = generated()
    for stale in committed() - files.keys():
        stale.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    console.print(f"{len(files)} files are as the code has it. Commit them with your change.")
