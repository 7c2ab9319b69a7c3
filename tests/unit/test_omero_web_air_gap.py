"""The bundle of a site whose hosts reach no index: nothing of it is used unless all of it is what was signed."""

import importlib.util
import subprocess
import tarfile
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[2] / "roles/omero-web"
spec = importlib.util.spec_from_file_location("omero_web_air_gap", ROLE / "action_plugins/omero_web_air_gap.py")
air_gap = importlib.util.module_from_spec(spec)
spec.loader.exec_module(air_gap)

TAR, ZIP = "wheels/debian-12-x86_64/omero-web-5.33.2-cp311-aa.tar", "archives/OMERO.py-5.4.10-ice36-b105.zip"
SOMEBODY_ELSES = "is not that of anybody in"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The keys of two people, of whom the first may sign bundles; and who may sign."""
    directory = tmp_path_factory.mktemp("keys")
    for who in ("ann", "bob"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", directory / who]
        subprocess.run(command, check=True)
    public = (directory / "ann.pub").read_text()
    (directory / "signers").write_text(f'ann@example.org,ann namespaces="omero-web-bundle" {public}')
    (directory / "for-git").write_text(f'ann@example.org namespaces="git" {public}')
    return directory


@pytest.fixture
def files(tmp_path):
    (tmp_path / "given").mkdir()
    found = {TAR: tmp_path / "given/a.tar", ZIP: tmp_path / "given/a.zip"}
    for name, path in found.items():
        path.write_text(1000 * name)
    return found


@pytest.fixture
def bundle(tmp_path, files, keys):
    air_gap.write(tmp_path / "site.tar", files, keys / "ann")
    return tmp_path / "site.tar"


@pytest.fixture
def take(tmp_path, keys):
    """Take what a bundle has into a cache, and tell what the cache has then."""

    def take(bundle, signers="signers"):
        cache = tmp_path / "cache"
        places = {"wheels": cache / "wheels", "archives": cache / "archives"}
        air_gap.take(bundle, keys / signers, places)
        return {str(path.relative_to(cache)): path.read_text() for path in cache.glob("**/*") if path.is_file()}

    return take


@pytest.fixture
def refused(take, tmp_path):
    """Say why a bundle is not taken, of which nothing is."""

    def refused(bundle, **options):
        with pytest.raises(air_gap.Problem) as refusal:
            take(bundle, **options)
        assert not (tmp_path / "cache").exists()
        return str(refusal.value)

    return refused


def test_what_was_written_is_taken(bundle, take, files, tmp_path):
    given = {name: path.read_text() for name, path in files.items()}
    assert take(bundle) == given
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("**/*.*")}
    (tmp_path / "cache" / TAR).write_text("another")
    assert take(bundle) == given
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("**/*.*")}
    assert [path for path in before if before[path] != after[path]] == [tmp_path / "cache" / TAR]


def test_the_same_files_make_the_same_bundle(bundle, files, keys, tmp_path):
    files[TAR].touch()
    air_gap.write(tmp_path / "again.tar", files, keys / "ann")
    assert (tmp_path / "again.tar").read_bytes() == bundle.read_bytes()


def test_a_bundle_replaces_the_one_before(bundle, files, keys, take):
    files[TAR].write_text("newer")
    air_gap.write(bundle, files, keys / "ann")
    assert take(bundle)[TAR] == "newer"
    assert list(bundle.parent.glob(".*")) == []


@pytest.mark.parametrize("name", [TAR, ZIP])
def test_one_changed_byte_of_what_is_in_it(bundle, refused, name):
    content = bundle.read_bytes()
    with tarfile.open(bundle) as archive:
        member = archive.getmember(name)
    places = {
        member.offset_data: f"in which {name} is not what was signed; get it again.",
        member.offset_data + member.size - 1: f"in which {name} is not what was signed; get it again.",
        # The headers of a tar have a checksum of their own, and where one is wrong, it ends.
        member.offset: " is missing; get it again.",
    }
    for place, sentence in places.items():
        changed = bytearray(content)
        changed[place] ^= 1
        bundle.write_bytes(changed)
        assert sentence in refused(bundle)


def test_each_changed_byte_of_the_sums_and_of_the_signature(bundle, refused):
    content = bundle.read_bytes()
    with tarfile.open(bundle) as archive:
        members = [archive.getmember(name) for name in ("SHA256SUMS", "SHA256SUMS.sig")]
    for member in members:
        for place in (member.offset_data, member.offset_data + member.size // 2):
            changed = bytearray(content)
            changed[place] ^= 1
            bundle.write_bytes(changed)
            assert SOMEBODY_ELSES in refused(bundle), (member.name, place)


@pytest.mark.parametrize("signers", ["bob.pub", "for-git"])
def test_a_signature_of_nobody_who_may_sign(bundle, refused, signers):
    assert SOMEBODY_ELSES in refused(bundle, signers=signers)


def test_a_signature_of_somebody_else(files, keys, tmp_path, refused):
    air_gap.write(tmp_path / "bobs.tar", files, keys / "bob")
    assert SOMEBODY_ELSES in refused(tmp_path / "bobs.tar")


def test_signers_that_are_not_there(bundle, refused):
    assert "nobody, which is not on this controller; put it there." in refused(bundle, signers="nobody")


def test_what_was_not_signed(bundle, refused):
    with tarfile.open(bundle, "a") as archive:
        archive.addfile(air_gap.member_of("wheels/debian-12-x86_64/omero-web-b.tar", 0))
    assert "in which wheels/debian-12-x86_64/omero-web-b.tar is not what was signed" in refused(bundle)


@pytest.mark.parametrize("name", ["../a.tar", "wheels/../omero-web-a.tar", "/etc/passwd", "wheels/a/zeroc_ice.whl"])
def test_signed_names_that_lead_elsewhere(files, keys, tmp_path, refused, name):
    air_gap.write(tmp_path / "site.tar", {name: files[TAR]}, keys / "ann")
    assert f"in which {name} is not what was signed" in refused(tmp_path / "site.tar")


def test_a_bundle_that_ends_early(bundle, refused):
    content = bundle.read_bytes()
    with tarfile.open(bundle) as archive:
        last = archive.getmember(TAR)
    # Between two files, and within one.
    for end, sentence in ((last.offset, f"in which {TAR} is missing"), (last.offset_data + 700, "which is damaged")):
        bundle.write_bytes(content[:end])
        assert sentence in refused(bundle)


@pytest.mark.parametrize("content", [b"", b"no tar", 10240 * b"\0"])
def test_what_is_no_bundle(tmp_path, refused, content):
    (tmp_path / "site.tar").write_bytes(content)
    found = refused(tmp_path / "site.tar")
    assert "which is damaged" in found or "which is no bundle of playbooks/bundle.yml" in found


def test_a_bundle_that_is_not_there(tmp_path, refused):
    assert "site.tar, which is not on this controller; put it there." in refused(tmp_path / "site.tar")


def test_a_key_with_which_nothing_can_be_signed(tmp_path, files, keys):
    with pytest.raises(air_gap.Problem, match="omero_web_bundle_key is .*/nobody, with which nothing can be signed"):
        air_gap.write(tmp_path / "site.tar", files, keys / "nobody")
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", tmp_path / "locked"]
    subprocess.run(command, check=True)
    with pytest.raises(air_gap.Problem, match="with which nothing can be signed; give a private key without a"):
        air_gap.write(tmp_path / "site.tar", files, tmp_path / "locked")
    assert not (tmp_path / "site.tar").exists()
