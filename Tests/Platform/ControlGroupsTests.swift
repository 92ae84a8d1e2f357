//  Where an installation's control groups lie, from the kernel's tables.

import Testing

@testable import Platform

struct ControlGroupsTests {
    @Test(arguments: [
        (
            "version 1 in a container that shares the host's view",
            "33 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n34 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            "4:memory:/job/7\n1:cpu:/\n0::/",
            [
                ControlGroups.Hierarchy(version: 1, base: "/sys/fs/cgroup/cpu", controllers: ["cpu"]),
                .init(version: 1, base: "/sys/fs/cgroup/memory/job/7", controllers: ["memory"]),
            ]
        ),
        (
            "version 2 under systemd: a unit's group dies with the unit",
            "30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate",
            "0::/system.slice/karri.service", [.init(version: 2, base: "/sys/fs/cgroup", controllers: [])]
        ),
        (
            "joined controllers, and systemd's own hierarchy",
            "40 31 0:3 / /c/cpu,cpuacct rw shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct\n41 31 0:4 / /c/systemd rw - cgroup cgroup rw,xattr,name=systemd",
            "2:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-1.scope",
            [
                .init(version: 1, base: "/c/cpu,cpuacct", controllers: ["cpu"]),
                .init(version: 1, base: "/c/systemd", controllers: ["name=systemd"]),
            ]
        ),
        (
            "a part of the tree is mounted", "40 31 0:3 /docker/ab /c/pids rw - cgroup cgroup rw,pids", "2:pids:/docker/ab/x",
            [.init(version: 1, base: "/c/pids/x", controllers: ["pids"])]
        ),
        (
            "out of the mounted part", "40 31 0:3 /docker/ab /c/pids rw - cgroup cgroup rw,pids", "2:pids:/docker/abc",
            [.init(version: 1, base: "/c/pids", controllers: ["pids"])]
        ),
        ("what no limit needs", "40 31 0:3 / /c/f rw - cgroup cgroup rw,freezer", "2:freezer:/", []),
        ("broken lines", "40 31\n- cgroup2\n1 2 3 4 5 6 -\n", "0\n::\n", []),
    ])
    func hierarchies(_ remark: String, _ mounts: String, _ own: String, _ expected: [ControlGroups.Hierarchy]) {
        #expect(ControlGroups.parse(mounts: mounts, own: own) == expected, "\(remark)")
    }
}
