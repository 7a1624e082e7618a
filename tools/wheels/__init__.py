"""Binary wheels for every supported CPython and processor, built on one Linux machine.

    python -m tools.wheels          build them into dist/ and check them (`make wheels`)
    python -m tools.wheels.twice    build again elsewhere, without caches: the same bytes?
    python -m tools.wheels.places   install and try each where it will run (`make test/wheels`)

The C compiler is Zig's, from PyPI: it has the headers and stubs of every glibc for both processors.
No interpreter is needed but the one that runs this, and CPython's headers.
"""
