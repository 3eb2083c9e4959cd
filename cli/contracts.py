"""./sliceline contracts: check the contracts against the code, and write down who reads what of which event."""

from cli.console import console, fail


def contracts() -> None:
    """Check the contracts, then write schemas/consumers/, docs/events.md and docs/reference.md anew.

    Where something is wrong nothing is written: each thing is told in a sentence, and the exit code is 1.
    """
    from deployment.catalogue import committed, generated
    from deployment.objections import absences, load_services, objections

    services, unloaded = load_services()
    if wrong := list(dict.fromkeys([*unloaded, *objections(services)])):
        fail("\n".join(wrong))
    files = generated(services)
    for stale in committed() - files.keys():
        stale.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for said in absences(services):
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(files)} files are as the code has it. Commit them with your change.")
