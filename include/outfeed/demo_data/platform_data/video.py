"""Video files of the assets, and the servers that hold them or once did."""

from __future__ import annotations

from outfeed.demo_data.platform_data.content import Content
from outfeed.demo_data.platform_data.setting import Setting

_SERVERS = 6
_FORMATS = (("hls", 1080), ("dash", 720), ("mp4", 480))


def add_video_files(setting: Setting, content: Content) -> None:
    """Adds several files for most assets; a file that left a server is kept in the list of deleted ones."""
    chance, rows, known = setting.chance("video"), setting.rows, setting.known
    file = deleted = 0
    for asset in content.assets:
        for format_, height in _FORMATS[: chance.randrange(4)]:
            file += 1
            known.video_files[asset.id].append(file)
            changes = chance.changed()
            rows.add(
                "video_files",
                id=file,
                asset_id=asset.id,
                format=format_,
                bitrate=chance.maybe(height * 4),
                width=height * 16 // 9,
                height=height,
                duration_seconds=chance.maybe(round(chance.uniform(10, 9000), 3)),
                size_bytes=chance.randrange(1 << 20, 1 << 42),
                checksum=chance.maybe(f"{chance.getrandbits(256):064x}"),
                content_key=chance.secret(),
                **changes,
            )
            for server in chance.sample(range(1, _SERVERS + 1), chance.randrange(4)):
                path = f"/vod/{asset.id}/{file}, {format_}/master"
                kept = chance.random() < 0.7
                if kept:
                    known.files_published.add((file, server))
                    rows.add(
                        "video_files_published",
                        file_id=file,
                        server_id=server,
                        path=path,
                        **chance.changed(changes["created"]),
                    )
                # Some were deleted and published again.
                if not kept or chance.random() < 0.1:
                    deleted += 1
                    known.files_deleted.add((file, server))
                    gone = chance.between(changes["created"], setting.now)
                    rows.add(
                        "video_files_deleted",
                        id=deleted,
                        file_id=file,
                        server_id=server,
                        path=path,
                        deleted=gone.replace(microsecond=0),
                    )
