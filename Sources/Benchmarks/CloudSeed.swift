//  Fills a store with more machines than anybody wants to launch: rows that are consistent with
//  each other, made by the engine itself from one machine that really runs in a simulated cloud. The
//  hosts that they lie on are not in session.

import Database
import Model
import Platform
import Store

struct CloudSeed: Sendable {
    let cloud: BenchCloud
    let conninfo: String?
    let instances: Int
    let perAccount: Int
    let say: @Sendable (String) -> Void

    /// Machines on one host.
    static let perHost = 250
    static let patience = Duration.seconds(3600)

    /// Fills the store of a cloud that is down.
    func run() async throws(Fault) {
        let installation = Installation(root: cloud.root, mark: cloud.mark)
        let engine: any Engine
        if let conninfo {
            engine = try await PostgreSQLEngine.open(conninfo, chance: .system)
        } else {
            engine = try SQLiteEngine(path: installation.store + "/karri.db")
        }
        say("seeds \(instances) instances into the store")
        for (what, statement) in statements {
            let began = ContinuousClock.now
            try await engine.write(deadline: CloudSeed.patience) { [name = engine.name] tx throws(Fault) in
                // Statements over millions of rows take longer than a call may.
                if name == .postgresql { _ = try tx.run("SET LOCAL statement_timeout = 0") }
                _ = try tx.run(statement)
            }
            let took = seconds(ContinuousClock.now - began)
            if took > 5 { say("  \(what): \(decimal(took, 1)) s") }
        }
        await engine.close()
        if conninfo == nil { try await Command.run("chown", ["-R", "\(cloud.mark):\(cloud.mark)", installation.store]) }
    }

    /// Odd, and as large as keeps every id within 63 bits: neighbours by number are far apart by id.
    private var stride: Int64 { Int64.max / Int64(instances + 1) | 1 }
    private var hosts: Int { (instances + CloudSeed.perHost - 1) / CloudSeed.perHost }
    private var accounts: Int { (instances + perAccount - 1) / perAccount }

    /// The id of a machine's part: another order of the machines for each kind of part.
    private func id(_ prime: Int, _ offset: Int) -> String { "((n.i * \(prime)) % \(instances)) * \(stride - 16) + \(offset)" }

    private func series(_ count: Int) -> String {
        "WITH RECURSIVE series(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM series WHERE i < \(count - 1))"
    }

    private var statements: [(String, String)] { scaffold + owners + machines + claims + tidying }

    /// Tables of numbers and places that the rows are made from.
    private var scaffold: [(String, String)] {
        [
            ("numbers", "CREATE TABLE bench_number (i BIGINT PRIMARY KEY, a BIGINT, h BIGINT)"),
            (
                "numbers",
                "\(series(instances)) INSERT INTO bench_number SELECT i, i / \(perAccount), i % \(hosts) FROM series WHERE TRUE"
            ),
            (
                "accounts",
                """
                CREATE TABLE bench_account (
                    a BIGINT PRIMARY KEY, account BIGINT, router BIGINT, domain BIGINT, network BIGINT, subnet BIGINT, security_group BIGINT)
                """
            ),
            (
                "accounts",
                """
                INSERT INTO bench_account
                SELECT row_number() OVER (ORDER BY c.name) - 1, c.id, r.id, r.domain, n.id, s.id, g.id
                FROM account c JOIN router r ON r.account = c.id JOIN network n ON n.router = r.id JOIN subnet s ON s.router = r.id
                JOIN security_group g ON g.router = r.id WHERE c.name LIKE 'bench-%'
                """
            ),
            (
                "accounts",
                """
                \(series(accounts)) INSERT INTO bench_account
                SELECT i, 1000000 + i * 10, 1000001 + i * 10, 1000002 + i * 10, 1000003 + i * 10, 1000004 + i * 10, 1000005 + i * 10
                FROM series WHERE i >= (SELECT count(*) FROM bench_account)
                """
            ),
            (
                "template",
                "CREATE TABLE bench_template AS SELECT * FROM instance WHERE power = 'running' LIMIT 1"
            ),
        ]
    }

    /// Accounts with their default networks, and hosts with their pools.
    private var owners: [(String, String)] {
        let memory = Int64(CloudSeed.perHost * 2) << 29
        let disk = Int64(CloudSeed.perHost * 4) << 30
        return [
            (
                "accounts",
                """
                INSERT INTO account SELECT b.account, CAST(900000000000 + b.a AS TEXT), 'seeded-' || b.a, 'active', t.created, 1
                FROM bench_account b CROSS JOIN bench_template t WHERE b.account NOT IN (SELECT id FROM account)
                """
            ),
            (
                "domains",
                "INSERT INTO domain SELECT domain, account, 1 + a FROM bench_account WHERE domain NOT IN (SELECT id FROM domain)"
            ),
            (
                "routers",
                """
                INSERT INTO router SELECT b.router, b.account, b.domain, '172.31.0.0/16', TRUE, t.created, 1
                FROM bench_account b CROSS JOIN bench_template t WHERE b.router NOT IN (SELECT id FROM router)
                """
            ),
            (
                "networks",
                """
                INSERT INTO network SELECT b.network, b.account, b.router, b.domain, 1450, t.created, 1
                FROM bench_account b CROSS JOIN bench_template t WHERE b.network NOT IN (SELECT id FROM network)
                """
            ),
            (
                "subnets",
                """
                INSERT INTO subnet SELECT b.subnet, b.account, b.network, b.router, t.zone, '172.31.0.0/20', TRUE, TRUE, t.created, 1
                FROM bench_account b CROSS JOIN bench_template t WHERE b.subnet NOT IN (SELECT id FROM subnet)
                """
            ),
            (
                "groups",
                """
                INSERT INTO security_group SELECT b.security_group, b.account, b.router, 'default', '', t.created, 1
                FROM bench_account b CROSS JOIN bench_template t WHERE b.security_group NOT IN (SELECT id FROM security_group)
                """
            ),
            (
                "pools",
                """
                \(series(hosts)) INSERT INTO pool
                SELECT 5000000 + i, t.zone, 6000000 + i, 'seeded-' || i || '-disk', \(disk), \(disk - disk / 4), t.created, 1
                FROM series CROSS JOIN bench_template t
                """
            ),
            (
                "hosts",
                """
                \(series(hosts)) INSERT INTO host
                    (id, zone, name, state, processors, memory, processors_free, memory_free, pool, accelerator, created, revision)
                SELECT 6000000 + i, t.zone, 'seeded-' || i, 'lost', \(CloudSeed.perHost * 4), \(memory), \(CloudSeed.perHost * 2),
                    \(memory / 2), 5000000 + i, 'tcg', t.created, 1
                FROM series CROSS JOIN bench_template t
                """
            ),
        ]
    }

    private var machines: [(String, String)] {
        [
            (
                "instances",
                """
                INSERT INTO instance
                    (id, account, zone, reservation, launch_index, desired, power, task, fault, type, processors, memory, image, kernel,
                    ramdisk, key_name, router, subnet, starts_wanted, reboots_wanted, options, client_token, launched, state_changed,
                    ended, created, revision)
                SELECT \(id(7919, 1)), b.account, t.zone, n.i + 1, 0, 'running', 'running', NULL, NULL, 't3.nano', 2, 536870912, t.image,
                    t.kernel, t.ramdisk, NULL, b.router, b.subnet, 1, 0, t.options, NULL, t.launched, t.state_changed,
                    CAST(NULL AS BIGINT), t.created, 3
                FROM bench_number n JOIN bench_account b ON b.a = n.a CROSS JOIN bench_template t ORDER BY 1
                """
            ),
            (
                "volumes",
                """
                INSERT INTO volume (id, account, zone, pool, type, size, image, desired, epoch, created, revision)
                SELECT \(id(104_729, 2)), b.account, t.zone, 5000000 + n.h, 'gp3', 1073741824, t.image, 'present', 1, t.created, 1
                FROM bench_number n JOIN bench_account b ON b.a = n.a CROSS JOIN bench_template t ORDER BY 1
                """
            ),
            (
                "attachments",
                """
                INSERT INTO attachment (id, account, instance, volume, device, is_root, delete_on_termination, created)
                SELECT \(id(15_485_863, 3)), b.account, \(id(7919, 1)), \(id(104_729, 2)), '/dev/sda1', TRUE, TRUE, t.created
                FROM bench_number n JOIN bench_account b ON b.a = n.a CROSS JOIN bench_template t ORDER BY 1
                """
            ),
            (
                "ports",
                """
                INSERT INTO port
                    (id, account, zone, network, subnet, router, domain, mac, address, instance, device_index, delete_on_termination,
                    source_check, description, created, revision)
                SELECT \(id(1_299_709, 4)), b.account, t.zone, b.network, b.subnet, b.router, b.domain, 8796093022208 + n.i,
                    \(CloudSeed.privateBase) + n.i % \(perAccount), \(id(7919, 1)), 0, TRUE, TRUE, '', t.created, 1
                FROM bench_number n JOIN bench_account b ON b.a = n.a CROSS JOIN bench_template t ORDER BY 1
                """
            ),
        ]
    }

    /// 172.31.0.16, past what EC2 reserves and what the template has.
    private static let privateBase: Int64 = 2_887_712_784
    /// 10.64.0.0.
    private static let publicBase: Int64 = 171_966_464

    private var claims: [(String, String)] {
        let joined = "FROM bench_number n JOIN bench_account b ON b.a = n.a CROSS JOIN bench_template t"
        let holding = """
            INSERT INTO holding
                (id, thing_kind, thing, account, zone, host, pool, epoch, wanted, granted, observed, fault, starts_done, reboots_done,
                processors, memory, bytes, created)
            """
        return [
            (
                "private addresses",
                """
                INSERT INTO port_address
                SELECT b.network, \(CloudSeed.privateBase) + n.i % \(perAccount), \(id(1_299_709, 4)), TRUE \(joined) ORDER BY 1, 2
                ON CONFLICT DO NOTHING
                """
            ),
            (
                "public addresses",
                """
                INSERT INTO address (id, account, address, is_automatic, port, created, revision)
                SELECT \(id(32_452_843, 5)), b.account, \(CloudSeed.publicBase) + n.i, TRUE, \(id(1_299_709, 4)), t.created, 1
                \(joined) WHERE \(CloudSeed.publicBase) + n.i NOT IN (SELECT address FROM address) ORDER BY 1
                """
            ),
            (
                "image copies",
                """
                \(series(hosts)) \(holding)
                SELECT 7000000 + i, 'image', m.id, m.account, t.zone, CAST(NULL AS BIGINT), 5000000 + i, 1, 'present', TRUE, 'ready',
                    NULL, 0, 0, 0, 0, 0, t.created
                FROM series CROSS JOIN bench_template t JOIN image m ON m.id = t.image
                """
            ),
            ("groups of ports", "INSERT INTO port_group SELECT \(id(1_299_709, 4)), b.security_group, 0 \(joined) ORDER BY 1"),
            (
                "machines on hosts",
                """
                \(holding)
                SELECT \(id(49_979_687, 6)), 'machine', \(id(7919, 1)), b.account, t.zone, 6000000 + n.h, CAST(NULL AS BIGINT), 1, 'running', TRUE,
                    'running', NULL, 1, 0, 2, 536870912, 0, t.created \(joined) ORDER BY 1
                """
            ),
            (
                "disks in pools",
                """
                \(holding)
                SELECT \(id(67_867_967, 7)), 'disk', \(id(104_729, 2)), b.account, t.zone, CAST(NULL AS BIGINT), 5000000 + n.h, 1, 'present', TRUE,
                    'ready', NULL, 0, 0, 0, 0, 1073741824, t.created \(joined) ORDER BY 1
                """
            ),
            (
                "names",
                """
                INSERT INTO tag (account, kind, thing, key, value)
                SELECT b.account, 'instance', \(id(7919, 1)), 'Name', 'web-' || n.i \(joined) ORDER BY 3
                """
            ),
            (
                "environments",
                """
                INSERT INTO tag (account, kind, thing, key, value)
                SELECT b.account, 'instance', \(id(7919, 1)), 'env', 'env-' || (n.i % 10) \(joined) ORDER BY 3
                """
            ),
        ]
    }

    private var tidying: [(String, String)] {
        ["bench_number", "bench_account", "bench_template"].map { ("scaffold", "DROP TABLE \($0)") }
    }
}
