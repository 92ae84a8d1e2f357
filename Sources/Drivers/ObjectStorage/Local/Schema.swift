//  The local backend's databases: one catalogue of buckets, and shards that hold keys. What a listing
//  reads is one narrow table in the order of the keys; details and small bodies lie apart from it.

import Database

enum Schema {
    static let catalogue = [
        Migration(
            "buckets",
            [
                """
                CREATE TABLE bucket (
                    name {text} PRIMARY KEY, id {int} NOT NULL UNIQUE, account {int} NOT NULL, region {text} NOT NULL,
                    created {int} NOT NULL, shard {int} NOT NULL
                ) {strict}
                """,
                "CREATE INDEX bucket_account ON bucket (account, name)",
            ]),
        Migration("settings", ["ALTER TABLE bucket ADD COLUMN settings {text} NOT NULL DEFAULT '{}'"]),
        Migration("quotas", ["CREATE TABLE account_quota (account {int} PRIMARY KEY, bytes {int} NOT NULL) {strict}"]),
    ]

    static let shard = [
        Migration(
            "keys",
            [
                // The rank of a key's newest version is the least, so that it comes first.
                """
                CREATE TABLE listing (
                    bucket {int} NOT NULL, key {blob} NOT NULL, rank {int} NOT NULL, version {int} NOT NULL,
                    shown {bool} NOT NULL, size {int} NOT NULL, entity_tag {text} NOT NULL, modified {int} NOT NULL,
                    detail {int} NOT NULL, PRIMARY KEY (bucket, key, rank)
                ) {strict}, WITHOUT ROWID
                """,
                """
                CREATE TABLE detail (
                    id {int} PRIMARY KEY, headers {text} NOT NULL, body_kind {int} NOT NULL, body {int} NOT NULL,
                    checksums {blob} NOT NULL
                ) {strict}
                """,
                "CREATE TABLE inline_body (id {int} PRIMARY KEY, checksum {int} NOT NULL, bytes {blob} NOT NULL) {strict}",
                // A body of parts: where each begins in it.
                """
                CREATE TABLE piece (
                    detail {int} NOT NULL, number {int} NOT NULL, start {int} NOT NULL, size {int} NOT NULL,
                    body_kind {int} NOT NULL, body {int} NOT NULL, checksums {blob} NOT NULL, PRIMARY KEY (detail, number)
                ) {strict}, WITHOUT ROWID
                """,
                """
                CREATE TABLE upload (
                    bucket {int} NOT NULL, key {blob} NOT NULL, id {text} NOT NULL, begun {int} NOT NULL, headers {text} NOT NULL,
                    PRIMARY KEY (bucket, key, id)
                ) {strict}, WITHOUT ROWID
                """,
                """
                CREATE TABLE part (
                    upload {text} NOT NULL, number {int} NOT NULL, size {int} NOT NULL, entity_tag {text} NOT NULL,
                    modified {int} NOT NULL, body_kind {int} NOT NULL, body {int} NOT NULL, checksums {blob} NOT NULL,
                    PRIMARY KEY (upload, number)
                ) {strict}, WITHOUT ROWID
                """,
                // How often the shard was opened: numbers are never given twice.
                "CREATE TABLE opening (number {int} NOT NULL) {strict}",
                "INSERT INTO opening (number) VALUES (0)",
                // The buckets that take keys here.
                "CREATE TABLE bucket (id {int} PRIMARY KEY) {strict}",
                // Files that no version names: not yet, or no longer.
                "CREATE TABLE loose_file (id {int} PRIMARY KEY, is_garbage {bool} NOT NULL, since {int} NOT NULL) {strict}",
            ]),
        Migration(
            "versions",
            [
                "ALTER TABLE listing ADD COLUMN is_marker {bool} NOT NULL DEFAULT FALSE",
                // Null: the bucket's owner, and `STANDARD`.
                "ALTER TABLE listing ADD COLUMN owner {int}",
                "ALTER TABLE listing ADD COLUMN storage_class {text}",
                // What came with a part, by header.
                "ALTER TABLE part ADD COLUMN checks {text} NOT NULL DEFAULT '{}'",
                "ALTER TABLE piece ADD COLUMN checks {text} NOT NULL DEFAULT '{}'",
            ]),
        Migration(
            "segments",
            [
                // The segments in which bodies lie, and how many bytes of each have rows.
                "CREATE TABLE segment (id {int} PRIMARY KEY, bytes {int} NOT NULL) {strict}",
                // The bodies in them, which compaction moves.
                """
                CREATE TABLE segment_body (
                    id {int} PRIMARY KEY, segment {int} NOT NULL, start {int} NOT NULL, size {int} NOT NULL,
                    checksums {blob} NOT NULL
                ) {strict}
                """,
                "CREATE INDEX segment_body_place ON segment_body (segment, start)",
            ]),
        Migration(
            "usage",
            [
                // The header of its checksum and, of an object of parts, what it is of.
                "ALTER TABLE listing ADD COLUMN checksum {text}",
                "ALTER TABLE bucket ADD COLUMN versions {int} NOT NULL DEFAULT 0",
                "ALTER TABLE bucket ADD COLUMN bytes {int} NOT NULL DEFAULT 0",
                """
                UPDATE bucket SET
                    versions = (SELECT count(*) FROM listing WHERE listing.bucket = bucket.id),
                    bytes = (SELECT coalesce(sum(size), 0) FROM listing WHERE listing.bucket = bucket.id)
                        + (SELECT coalesce(sum(size), 0) FROM part
                           WHERE upload IN (SELECT id FROM upload WHERE upload.bucket = bucket.id))
                """,
            ]),
        Migration(
            "accounts",
            [
                // Zero: the catalogue is to be asked.
                "ALTER TABLE bucket ADD COLUMN account {int} NOT NULL DEFAULT 0",
                "CREATE INDEX bucket_account ON bucket (account)",
            ]),
        Migration(
            "loose pieces",
            [
                // Bodies of parts that no version names any more.
                "CREATE TABLE loose_pieces (detail {int} PRIMARY KEY) {strict}"
            ]),
        Migration(
            "gone buckets",
            [
                // Buckets that are no more, of whose uploads there are some left.
                "CREATE TABLE gone_bucket (id {int} PRIMARY KEY) {strict}"
            ]),
    ]
}
