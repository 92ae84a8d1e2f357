//  The two files that libvirtd reads. Anything that libvirt would do by itself for a desktop (change
//  owners of files, fill cgroups, listen on TCP) is off: Karri does it, or nobody does.

enum LibvirtConfiguration {
    /// libvirtd.conf: one socket, root's, and a log that names only what went wrong.
    static func daemon(hostUUID: String) -> String {
        """
        unix_sock_rw_perms = "0700"
        auth_unix_ro = "none"
        auth_unix_rw = "none"
        listen_tls = 0
        listen_tcp = 0
        host_uuid = "\(hostUUID)"
        max_clients = 64
        max_workers = 20
        log_outputs = "3:file:/var/log/libvirt/libvirtd.log"

        """
    }

    /// qemu.conf. `dynamic_ownership` lets a domain's own uid be set at all; what a guest may open is
    /// given to it by Karri, file by file, and `relabel='no'` keeps libvirt from giving more. The limit
    /// on processes counts a uid's threads, and each guest has a uid of its own.
    static let qemu = """
        user = "root"
        group = "root"
        dynamic_ownership = 1
        remember_owner = 0
        security_driver = "none"
        cgroup_controllers = [ ]
        namespaces = [ ]
        stdio_handler = "file"
        set_process_name = 1
        max_processes = 1024
        max_core = 0
        seccomp_sandbox = 1

        """
}
