//  Where one cloud keeps its things. Every path, namespace name and mark comes from here, so that
//  several clouds (a test's among them) live side by side on one machine and uninstall finds all.

/// The folders and names of one cloud on one host.
public struct Installation: Sendable, Hashable, Codable {
    /// "" for the machine's own cloud; else a folder under which all of its files lie.
    public var root: String
    /// Begins the name of every namespace, link, table, cgroup and route mark: at most 6 letters
    /// and digits, so that a tap's name still fits the kernel's 15 bytes.
    public var mark: String

    public init(root: String = "", mark: String = "karri") {
        self.root = root
        self.mark = mark
    }

    public var configuration: String { root + "/etc/karri" }
    public var state: String { root + "/var/lib/karri" }
    public var run: String { root + "/run/karri" }
    public var logs: String { root + "/var/log/karri" }

    /// The store: SQLite's files. Only *control* opens it.
    public var store: String { state + "/store" }
    /// The object store's own: its index and bodies.
    public var objects: String { state + "/objects" }
    /// The host's own pool of disks and image copies. Only *node* and confined children open it.
    public var pool: String { state + "/pool" }
    /// What *node* keeps: the last document, libvirt's folders, the guests' sockets and logs.
    public var node: String { state + "/node" }
    /// The master key, outside the store's folder.
    public var masterKey: String { configuration + "/master.key" }
    /// Where *node* dials *control*.
    public var fabricSocket: String { run + "/fabric/control.sock" }
    /// Where the command line asks *control*: root and the administrator only.
    public var adminSocket: String { run + "/admin/control.sock" }
}
