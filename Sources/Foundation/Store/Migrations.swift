//  The schema. What is filtered, sorted, joined, summed or unique is a typed column; constraints,
//  not code, refuse a double claim. Migrations are named and append-only: a landed one is never
//  edited.

import Database

extension Migration {
    /// All migrations, in the order in which they are applied.
    public static let all: [Migration] = [foundation, fences]

    static let foundation = Migration(
        "0001-foundation",
        [
            // Identity.
            """
            CREATE TABLE account (
                id {int} PRIMARY KEY, number TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
                state TEXT NOT NULL CHECK (state IN ('active', 'closed')),
                created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            """
            CREATE TABLE account_user (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id), name TEXT NOT NULL,
                created {int} NOT NULL, revision {int} NOT NULL, UNIQUE (account, name)
            ) {strict}
            """,
            """
            CREATE TABLE access_key (
                key TEXT PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                account_user {int} NOT NULL REFERENCES account_user (id),
                sealed_secret {blob} NOT NULL, active {bool} NOT NULL, created {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX access_key_by_user ON access_key (account_user)",
            """
            CREATE TABLE assignment (
                account_user {int} NOT NULL REFERENCES account_user (id), policy TEXT NOT NULL,
                PRIMARY KEY (account_user, policy)
            ) {strict}
            """,

            // Topology.
            """
            CREATE TABLE zone (
                id {int} PRIMARY KEY, name TEXT NOT NULL UNIQUE, region TEXT NOT NULL, created {int} NOT NULL
            ) {strict}
            """,
            """
            CREATE TABLE pool (
                id {int} PRIMARY KEY, zone {int} NOT NULL REFERENCES zone (id), host {int}, name TEXT NOT NULL UNIQUE,
                bytes {int} NOT NULL, bytes_free {int} NOT NULL CHECK (bytes_free <= bytes),
                created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            """
            CREATE TABLE host (
                id {int} PRIMARY KEY, zone {int} NOT NULL REFERENCES zone (id), name TEXT NOT NULL UNIQUE,
                state TEXT NOT NULL CHECK (state IN ('up', 'lost', 'closed')),
                processors {int} NOT NULL, memory {int} NOT NULL,
                processors_free {int} NOT NULL CHECK (processors_free <= processors),
                memory_free {int} NOT NULL CHECK (memory_free <= memory),
                pool {int} NOT NULL REFERENCES pool (id), accelerator TEXT NOT NULL,
                created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX host_by_zone ON host (zone, id)",
            """
            CREATE TABLE lease (
                name TEXT PRIMARY KEY, holder TEXT NOT NULL, epoch {int} NOT NULL
            ) {strict}
            """,
            "CREATE TABLE heartbeat (name TEXT PRIMARY KEY, at {int} NOT NULL) {strict}",

            // Images and disks.
            """
            CREATE TABLE image (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id), name TEXT NOT NULL,
                description TEXT NOT NULL, purpose TEXT NOT NULL CHECK (purpose IN ('machine', 'kernel', 'ramdisk')),
                state TEXT NOT NULL CHECK (state IN ('pending', 'available', 'failed', 'absent')), fault TEXT,
                architecture TEXT NOT NULL, digest TEXT, size {int} NOT NULL,
                kernel {int} REFERENCES image (id), ramdisk {int} REFERENCES image (id), is_public {bool} NOT NULL,
                created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            // One that failed is only shown, and its name may be used again.
            "CREATE UNIQUE INDEX image_name ON image (account, name) WHERE state IN ('pending', 'available')",
            "CREATE INDEX image_by_name ON image (account, name)",
            "CREATE INDEX image_by_account ON image (account, id)",
            """
            CREATE TABLE volume (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                zone {int} NOT NULL REFERENCES zone (id), pool {int} NOT NULL REFERENCES pool (id), type TEXT NOT NULL,
                size {int} NOT NULL CHECK (size > 0), image {int}, desired TEXT NOT NULL CHECK (desired IN ('present', 'absent')),
                epoch {int} NOT NULL, created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX volume_by_account ON volume (account, id)",
            "CREATE INDEX volume_by_image ON volume (image)",

            // Keys.
            """
            CREATE TABLE key_pair (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id), name TEXT NOT NULL,
                type TEXT NOT NULL, fingerprint TEXT NOT NULL, public_key TEXT NOT NULL,
                created {int} NOT NULL, revision {int} NOT NULL, UNIQUE (account, name)
            ) {strict}
            """,

            // Networks.
            """
            CREATE TABLE domain (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                vni {int} NOT NULL UNIQUE CHECK (vni BETWEEN 1 AND 16777215)
            ) {strict}
            """,
            """
            CREATE TABLE router (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                domain {int} NOT NULL REFERENCES domain (id), prefix TEXT NOT NULL, is_default {bool} NOT NULL,
                created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX router_by_account ON router (account, id)",
            "CREATE UNIQUE INDEX router_default ON router (account) WHERE is_default",
            """
            CREATE TABLE network (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                router {int} NOT NULL REFERENCES router (id), domain {int} NOT NULL REFERENCES domain (id),
                mtu {int} NOT NULL, created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX network_by_router ON network (router)",
            "CREATE INDEX network_by_account ON network (account, id)",
            """
            CREATE TABLE subnet (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                network {int} NOT NULL REFERENCES network (id), router {int} NOT NULL REFERENCES router (id),
                zone {int} NOT NULL REFERENCES zone (id), prefix TEXT NOT NULL, is_default {bool} NOT NULL,
                map_public_address {bool} NOT NULL, created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX subnet_by_account ON subnet (account, id)",
            "CREATE INDEX subnet_by_router ON subnet (router)",
            "CREATE UNIQUE INDEX subnet_default ON subnet (router, zone) WHERE is_default",
            """
            CREATE TABLE port (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                zone {int} NOT NULL REFERENCES zone (id), network {int} NOT NULL REFERENCES network (id),
                subnet {int} NOT NULL REFERENCES subnet (id), router {int} NOT NULL REFERENCES router (id),
                domain {int} NOT NULL REFERENCES domain (id), mac {int} NOT NULL UNIQUE, address {int} NOT NULL,
                instance {int}, device_index {int} NOT NULL, delete_on_termination {bool} NOT NULL,
                source_check {bool} NOT NULL, description TEXT NOT NULL, created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX port_by_account ON port (account, id)",
            "CREATE INDEX port_by_domain ON port (domain, id)",
            "CREATE INDEX port_by_subnet ON port (subnet)",
            "CREATE UNIQUE INDEX port_by_instance ON port (instance, device_index) WHERE instance IS NOT NULL",
            """
            CREATE TABLE port_address (
                network {int} NOT NULL REFERENCES network (id), address {int} NOT NULL,
                port {int} NOT NULL REFERENCES port (id), is_primary {bool} NOT NULL, PRIMARY KEY (network, address)
            ) {strict}
            """,
            "CREATE INDEX port_address_by_port ON port_address (port)",
            """
            CREATE TABLE external_range (
                prefix TEXT PRIMARY KEY, first {int} NOT NULL, last {int} NOT NULL
            ) {strict}
            """,
            """
            CREATE TABLE address (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id), address {int} NOT NULL UNIQUE,
                is_automatic {bool} NOT NULL, port {int} REFERENCES port (id), created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX address_by_port ON address (port)",
            "CREATE INDEX address_by_account ON address (account, id)",
            """
            CREATE TABLE security_group (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                router {int} NOT NULL REFERENCES router (id), name TEXT NOT NULL, description TEXT NOT NULL,
                created {int} NOT NULL, revision {int} NOT NULL, UNIQUE (router, name)
            ) {strict}
            """,
            "CREATE INDEX security_group_by_account ON security_group (account, id)",
            """
            CREATE TABLE group_rule (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                security_group {int} NOT NULL REFERENCES security_group (id), is_egress {bool} NOT NULL,
                protocol_number {int} NOT NULL, from_port {int} NOT NULL, to_port {int} NOT NULL, prefix TEXT,
                peer {int} REFERENCES security_group (id), description TEXT NOT NULL, created {int} NOT NULL,
                CHECK ((prefix IS NULL) <> (peer IS NULL))
            ) {strict}
            """,
            """
            CREATE UNIQUE INDEX group_rule_once ON group_rule
                (security_group, is_egress, protocol_number, from_port, to_port, coalesce(prefix, ''), coalesce(peer, 0))
            """,
            "CREATE INDEX group_rule_by_peer ON group_rule (peer)",
            "CREATE INDEX group_rule_by_account ON group_rule (account, id)",
            """
            CREATE TABLE port_group (
                port {int} NOT NULL REFERENCES port (id), security_group {int} NOT NULL REFERENCES security_group (id),
                place {int} NOT NULL, PRIMARY KEY (port, security_group)
            ) {strict}
            """,
            "CREATE INDEX port_group_by_group ON port_group (security_group)",

            // Machines.
            """
            CREATE TABLE instance (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                zone {int} NOT NULL REFERENCES zone (id), reservation {int} NOT NULL, launch_index {int} NOT NULL,
                desired TEXT NOT NULL CHECK (desired IN ('running', 'stopped', 'absent')), power TEXT NOT NULL, task TEXT,
                fault TEXT, type TEXT NOT NULL, processors {int} NOT NULL, memory {int} NOT NULL, image {int} NOT NULL,
                kernel {int}, ramdisk {int}, key_name TEXT, router {int}, subnet {int}, starts_wanted {int} NOT NULL,
                reboots_wanted {int} NOT NULL, options TEXT NOT NULL, client_token TEXT, launched {int} NOT NULL,
                state_changed {int} NOT NULL, ended {int}, created {int} NOT NULL, revision {int} NOT NULL
            ) {strict}
            """,
            "CREATE INDEX instance_by_account ON instance (account, id)",
            "CREATE INDEX instance_by_router ON instance (account, router, id)",
            "CREATE INDEX instance_by_subnet ON instance (subnet)",
            "CREATE INDEX instance_by_image ON instance (image)",
            "CREATE INDEX instance_by_reservation ON instance (reservation)",
            "CREATE INDEX instance_unsettled ON instance (account, id) WHERE task IS NOT NULL",
            "CREATE INDEX instance_ended ON instance (ended) WHERE ended IS NOT NULL",
            """
            CREATE TABLE user_data (
                instance {int} PRIMARY KEY REFERENCES instance (id), sealed {blob} NOT NULL
            ) {strict}
            """,
            """
            CREATE TABLE attachment (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id),
                instance {int} NOT NULL REFERENCES instance (id), volume {int} NOT NULL UNIQUE REFERENCES volume (id),
                device TEXT NOT NULL, is_root {bool} NOT NULL, delete_on_termination {bool} NOT NULL,
                created {int} NOT NULL, UNIQUE (instance, device)
            ) {strict}
            """,

            // Holdings: one thing on one owner; where only one may hold, only one is granted.
            """
            CREATE TABLE holding (
                id {int} PRIMARY KEY, thing_kind TEXT NOT NULL CHECK (thing_kind IN ('machine', 'disk', 'image')),
                thing {int} NOT NULL, account {int} NOT NULL REFERENCES account (id),
                zone {int} NOT NULL REFERENCES zone (id), host {int} REFERENCES host (id), pool {int} REFERENCES pool (id),
                epoch {int} NOT NULL, wanted TEXT NOT NULL, granted {bool} NOT NULL, observed TEXT NOT NULL, fault TEXT,
                starts_done {int} NOT NULL, reboots_done {int} NOT NULL, processors {int} NOT NULL, memory {int} NOT NULL,
                bytes {int} NOT NULL, created {int} NOT NULL, CHECK ((host IS NULL) <> (pool IS NULL))
            ) {strict}
            """,
            "CREATE UNIQUE INDEX holding_granted ON holding (thing_kind, thing) WHERE granted AND thing_kind <> 'image'",
            "CREATE INDEX holding_by_thing ON holding (thing_kind, thing)",
            "CREATE UNIQUE INDEX holding_on_host ON holding (host, thing_kind, thing) WHERE host IS NOT NULL",
            "CREATE UNIQUE INDEX holding_in_pool ON holding (pool, thing_kind, thing) WHERE pool IS NOT NULL",

            // Operations.
            """
            CREATE TABLE operation (
                id {int} PRIMARY KEY, account {int} NOT NULL REFERENCES account (id), zone {int}, operation_kind TEXT NOT NULL,
                subject_kind TEXT NOT NULL, subject {int} NOT NULL, step TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed')), attempt {int} NOT NULL,
                refusals {int} NOT NULL, due {int}, deadline {int}, inputs TEXT NOT NULL, fault TEXT, request TEXT NOT NULL, principal TEXT NOT NULL,
                created {int} NOT NULL, ended {int}
            ) {strict}
            """,
            "CREATE INDEX operation_running ON operation (due) WHERE state = 'running'",
            "CREATE INDEX operation_by_subject ON operation (subject_kind, subject)",
            "CREATE INDEX operation_ended ON operation (ended) WHERE ended IS NOT NULL",
            """
            CREATE TABLE operation_resource (
                kind TEXT NOT NULL, resource {int} NOT NULL, operation {int} NOT NULL REFERENCES operation (id),
                PRIMARY KEY (kind, resource)
            ) {strict}
            """,
            "CREATE INDEX operation_resource_by_operation ON operation_resource (operation)",
            """
            CREATE TABLE operation_wait (
                awaited TEXT NOT NULL, row {int} NOT NULL, operation {int} NOT NULL REFERENCES operation (id),
                PRIMARY KEY (awaited, row, operation)
            ) {strict}
            """,
            "CREATE INDEX operation_wait_by_operation ON operation_wait (operation)",

            // What belongs to everything.
            """
            CREATE TABLE tag (
                account {int} NOT NULL, kind TEXT NOT NULL, thing {int} NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
                PRIMARY KEY (kind, thing, key)
            ) {strict}
            """,
            "CREATE INDEX tag_by_value ON tag (account, kind, key, value, thing)",
            "CREATE INDEX tag_by_account ON tag (account, kind, thing, key)",
            """
            CREATE TABLE client_token (
                account {int} NOT NULL, action TEXT NOT NULL, token TEXT NOT NULL, digest {blob} NOT NULL,
                result {int} NOT NULL, expires {int} NOT NULL, PRIMARY KEY (account, action, token)
            ) {strict}
            """,
            "CREATE INDEX client_token_by_expiry ON client_token (expires)",
            """
            CREATE TABLE quota (
                account {int} NOT NULL REFERENCES account (id), resource TEXT NOT NULL, used {int} NOT NULL CHECK (used >= 0),
                maximum {int} NOT NULL, PRIMARY KEY (account, resource)
            ) {strict}
            """,
            """
            CREATE TABLE usage_event (
                number {serial}, at {int} NOT NULL, account {int} NOT NULL, zone {int}, kind TEXT NOT NULL,
                thing {int} NOT NULL, event TEXT NOT NULL, facts TEXT NOT NULL
            ) {strict}
            """,
            """
            CREATE TABLE story (
                number {serial}, at {int} NOT NULL, kind TEXT NOT NULL, thing {int} NOT NULL, source TEXT NOT NULL,
                request TEXT, text TEXT NOT NULL
            ) {strict}
            """,
            "CREATE INDEX story_by_thing ON story (kind, thing, number)",
            "CREATE INDEX story_by_time ON story (at)",
        ])
    static let fences = Migration(
        "0002-fences-and-image-removal",
        [
            "CREATE TABLE fence (host {int} PRIMARY KEY REFERENCES host (id), at {int} NOT NULL) {strict}",
            """
            CREATE TABLE remnant (
                host {int} NOT NULL REFERENCES host (id),
                thing_kind TEXT NOT NULL CHECK (thing_kind IN ('machine', 'disk', 'image')), thing {int} NOT NULL,
                epoch {int} NOT NULL, purpose TEXT, digest TEXT, PRIMARY KEY (host, thing_kind, thing)
            ) {strict}
            """,
            // Who still needs an image that is to be removed.
            "CREATE INDEX instance_by_kernel ON instance (kernel) WHERE kernel IS NOT NULL AND ended IS NULL",
            "CREATE INDEX instance_by_ramdisk ON instance (ramdisk) WHERE ramdisk IS NOT NULL AND ended IS NULL",
            "CREATE INDEX image_by_kernel ON image (kernel) WHERE kernel IS NOT NULL",
            "CREATE INDEX image_by_ramdisk ON image (ramdisk) WHERE ramdisk IS NOT NULL",
        ])
}
