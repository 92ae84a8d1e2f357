//  The lives of machines that the fail-point tests tell: each is a short list of calls and of what
//  the hosts do, and ends with everything gone.

import CloudTesting
import Compute
import Database
import Images
import Model
import Operations
import Store
import Testing

/// One life, told the same way whatever is killed in between.
struct Story: Sendable, CustomTestStringConvertible {
    var name: String
    /// The steps that it is sure to go through, as `kind/step`.
    var steps: [String]
    var tell: @Sendable (Teller) async throws -> Void

    var testDescription: String { name }

    static let launch = ["instance.launch/images", "instance.launch/start", "instance.launch/running"]
    static let terminate = ["instance.terminate/machine", "instance.terminate/disks", "instance.terminate/gone"]

    static let all: [Story] =
        [
            Story(name: "launch, run, terminate", steps: launch + terminate) { teller in
                let ids = try await teller.launch(2)
                for id in ids { try await teller.expect(id, .running) }
                try await teller.terminate(ids)
            },
            Story(name: "stop and start", steps: ["instance.stop/off", "instance.start/running"]) { teller in
                let ids = try await teller.launch(1)
                try await teller.stop(ids)
                for id in ids { try await teller.expect(id, .stopped) }
                try await teller.start(ids)
                for id in ids { try await teller.expect(id, .running) }
                try await teller.terminate(ids)
            },
            Story(name: "the image's copy fails", steps: ["instance.launch/images"] + terminate) { teller in
                try await teller.failing(.image, "no space") { try await teller.expectFailedLaunch("no space") }
                // What failed once is tried again.
                let ids = try await teller.launch(1)
                for id in ids { try await teller.expect(id, .running) }
                try await teller.terminate(ids)
            },
            Story(name: "the disk fails", steps: ["instance.launch/running"] + terminate) { teller in
                try await teller.failing(.disk, "an input/output error") {
                    try await teller.expectFailedLaunch("an input/output error")
                }
            },
            Story(name: "the machine does not start", steps: ["instance.launch/running"] + terminate) { teller in
                try await teller.failing(.machine, "no such CPU") { try await teller.expectFailedLaunch("no such CPU") }
            },
            Story(name: "the host is silent until the launch is given up", steps: launch.prefix(1) + terminate) { teller in
                try await teller.forgetCopies()
                teller.cloud.owner.script { $0.isSilent = true }
                let ids = try await teller.launch(1, settled: false)
                try await teller.settle()
                teller.cloud.clock.advance(by: .seconds(1801))
                try await teller.settle()
                for id in ids {
                    #expect(try await teller.cloud.instance(id)?.desired == .absent, "\(teller.note)")
                }
                teller.cloud.owner.script { $0.isSilent = false }
                try await teller.settle()
                for id in ids { try await teller.expect(id, .gone, because: "did not copy the image in time") }
            },
            Story(name: "the host is silent during a removal", steps: ["instance.terminate/machine"]) { teller in
                let ids = try await teller.launch(1)
                teller.cloud.owner.script { $0.isSilent = true }
                _ = try await teller.cloud.compute.terminate(ids, by: teller.call)
                try await teller.settle()
                teller.cloud.clock.advance(by: .seconds(3600))
                try await teller.settle()
                for id in ids { try await teller.expect(id, .terminating) }
                teller.cloud.owner.script { $0.isSilent = false }
                try await teller.settle()
                for id in ids { try await teller.expect(id, .gone) }
            },
            Story(name: "a start fails and is tried again", steps: ["instance.start/running", "instance.stop/off"]) { teller in
                let ids = try await teller.launch(1)
                try await teller.stop(ids)
                try await teller.failing(.machine, "no such CPU") { try await teller.start(ids) }
                for id in ids { try await teller.expect(id, .stopped, because: "no such CPU") }
                try await teller.start(ids)
                for id in ids { try await teller.expect(id, .running) }
                try await teller.terminate(ids)
            },
            Story(name: "a start that no host answers", steps: ["instance.start/running", "instance.stop/off"]) { teller in
                let ids = try await teller.launch(1)
                try await teller.stop(ids)
                teller.cloud.owner.script { $0.isSilent = true }
                try await teller.start(ids)
                teller.cloud.clock.advance(by: .seconds(301))
                try await teller.settle()
                // The host has not said that the machine is off: its capacity is still promised.
                for id in ids { try await teller.expect(id, .stopping) }
                teller.cloud.owner.script { $0.isSilent = false }
                try await teller.settle()
                for id in ids { try await teller.expect(id, .stopped) }
                try await teller.start(ids)
                for id in ids { try await teller.expect(id, .running) }
                try await teller.terminate(ids)
            },
            Story(name: "a machine powers itself off", steps: ["instance.stop/off"]) { teller in
                let ids = try await teller.launch(2) { $0.options.terminateOnShutdown = false }
                teller.cloud.owner.script { $0.poweringOff = [ids[0]] }
                try await teller.settle()
                try await teller.expect(ids[0], .stopped, because: "Client.InstanceInitiatedShutdown")
                try await teller.expect(ids[1], .running)
                try await teller.terminate(ids)
            },
            Story(name: "a machine that goes when it powers itself off", steps: terminate) { teller in
                let ids = try await teller.launch(1) { $0.options.terminateOnShutdown = true }
                teller.cloud.owner.script { $0.poweringOff = Set(ids) }
                try await teller.settle()
                for id in ids { try await teller.expect(id, .gone, because: "Client.InstanceInitiatedShutdown") }
            },
            Story(name: "a machine that crashes is kept", steps: ["instance.stop/off"]) { teller in
                let ids = try await teller.launch(1) { $0.options.terminateOnShutdown = true }
                teller.cloud.owner.script { $0.crashing = Set(ids) }
                try await teller.settle()
                for id in ids { try await teller.expect(id, .stopped, because: "Server.InternalError") }
                try await teller.terminate(ids)
            },
            Story(name: "an import", steps: ["image.import/import"]) { teller in
                let image = try await teller.register("good")
                try await teller.settle()
                #expect(try await teller.image(image)?.state == .available, "\(teller.note)")
            },
            Story(name: "an import fails and its name is used again", steps: ["image.import/import", "image.import/drop"]) {
                teller in
                var failed: ID<Image>?
                try await teller.failing(.image, "not an image") {
                    failed = try await teller.register("again")
                    try await teller.settle()
                }
                let row = try await teller.image(try #require(failed))
                #expect(row?.state == .failed && row?.fault == "not an image", "\(teller.note)")
                let image = try await teller.register("again")
                try await teller.settle()
                #expect(try await teller.image(image)?.state == .available, "\(teller.note)")
            },
            Story(name: "an import that no pool answers", steps: ["image.import/import", "image.import/drop"]) { teller in
                teller.cloud.owner.script { $0.isSilent = true }
                let image = try await teller.register("late")
                try await teller.settle()
                teller.cloud.clock.advance(by: .seconds(1801))
                try await teller.settle()
                #expect(try await teller.image(image)?.state == .failed, "\(teller.note)")
                teller.cloud.owner.script { $0.isSilent = false }
                try await teller.settle()
            },
        ] + fences + removals

    static let fences = [
        Story(name: "a host is fenced while its machines run, and comes back", steps: ["instance.stop/off"] + terminate) { teller in
            let ids = try await teller.launch(2)
            let host = try await teller.host(of: ids[0])
            // Both on one host, so that the fence has more than one to do.
            try await teller.lose(host)
            let outcome = try await teller.fence(host)
            let there = try await teller.machines(ids, on: host)
            #expect(outcome.stopped == there.count, "\(teller.note)")
            for id in there { try await teller.expect(id, .stopped, because: "fenced") }
            #expect(try await teller.refusesToStart(there[0]), "\(teller.note)")
            // What goes now goes at once, and the host is told of it when it comes back.
            try await teller.terminate(ids)
            #expect(try await teller.cloud.count("remnant") == there.count * 2, "\(teller.note)")
            try await teller.bringBack(host)
            #expect(try await teller.cloud.count("remnant") == 0, "\(teller.note)")
        },
        Story(
            name: "a fenced host's machine starts again after its return", steps: ["instance.stop/off", "instance.start/running"]
        ) {
            teller in
            let ids = try await teller.launch(1)
            let host = try await teller.host(of: ids[0])
            try await teller.lose(host)
            _ = try await teller.fence(host)
            try await teller.bringBack(host)
            for id in ids { try await teller.expect(id, .stopped, because: "fenced") }
            try await teller.start(ids)
            for id in ids { try await teller.expect(id, .running) }
            try await teller.terminate(ids)
        },
        Story(name: "a removal waits for a lost host until its fence", steps: terminate) { teller in
            let ids = try await teller.launch(1)
            let host = try await teller.host(of: ids[0])
            try await teller.lose(host)
            _ = try await teller.cloud.compute.terminate(ids, by: teller.call)
            try await teller.settle()
            for id in ids { try await teller.expect(id, .terminating) }
            _ = try await teller.fence(host)
            for id in ids { try await teller.expect(id, .gone) }
            try await teller.bringBack(host)
        },
        Story(name: "a host is fenced during a launch", steps: ["instance.launch/images"] + terminate) { teller in
            try await teller.forgetCopies()
            teller.cloud.owner.script { $0.isSilent = true }
            let ids = try await teller.launch(1, settled: false)
            try await teller.settle()
            let host = try await teller.host(of: ids[0])
            try await teller.lose(host)
            teller.cloud.owner.script { $0.isSilent = false }
            _ = try await teller.fence(host)
            for id in ids { try await teller.expect(id, .gone, because: "fenced") }
            try await teller.bringBack(host)
            // The copy that was on its way when the host went is made anew.
            let again = try await teller.launch(1)
            for id in again { try await teller.expect(id, .running) }
            try await teller.terminate(again)
        },
        Story(name: "a host is fenced during a stop and a start", steps: ["instance.stop/off", "instance.start/running"]) {
            teller in
            let ids = try await teller.launch(1)
            let host = try await teller.host(of: ids[0])
            try await teller.lose(host, marked: false)
            try await teller.stop(ids)
            try await teller.mark(host, .lost)
            _ = try await teller.fence(host)
            for id in ids { try await teller.expect(id, .stopped) }
            try await teller.bringBack(host)
            try await teller.lose(host, marked: false)
            try await teller.start(ids)
            try await teller.mark(host, .lost)
            _ = try await teller.fence(host)
            for id in ids { try await teller.expect(id, .stopped, because: "fenced") }
            try await teller.bringBack(host)
            try await teller.terminate(ids)
        },
    ]

    static let removals = [
        Story(
            name: "an image is deregistered while a machine runs from it",
            steps: ["image.deregister/copies", "image.deregister/gone"]
        ) { teller in
            let image = try await teller.register("passing")
            try await teller.settle()
            let ids = try await teller.launch(1) { $0.image = image }
            try await teller.cloud.images.deregister(image, by: teller.call)
            try await teller.settle()
            #expect(try await teller.image(image)?.state == .absent, "\(teller.note)")
            for id in ids { try await teller.expect(id, .running) }
            // Stopped and started, it still has its disk's backing.
            try await teller.stop(ids)
            try await teller.start(ids)
            for id in ids { try await teller.expect(id, .running) }
            try await teller.terminate(ids)
            #expect(try await teller.image(image) == nil, "\(teller.note)")
            #expect(try await teller.copies(of: image) == 0, "\(teller.note)")
            // Its name is free from the beginning.
            let again = try await teller.register("passing")
            try await teller.settle()
            try await teller.deregister(again)
        },
        Story(name: "an image is deregistered during its import", steps: ["image.deregister/copies", "image.deregister/gone"]) {
            teller in
            teller.cloud.owner.script { $0.isSilent = true }
            let image = try await teller.register("hasty")
            try await teller.settle()
            try await teller.cloud.images.deregister(image, by: teller.call)
            teller.cloud.owner.script { $0.isSilent = false }
            try await teller.settle()
            #expect(try await teller.image(image) == nil, "\(teller.note)")
            #expect(try await teller.copies(of: image) == 0, "\(teller.note)")
        },
        Story(name: "a failed image is deregistered", steps: ["image.deregister/copies", "image.deregister/gone"]) { teller in
            var failed: ID<Image>?
            try await teller.failing(.image, "not an image") {
                failed = try await teller.register("bad")
                try await teller.settle()
            }
            try await teller.deregister(try #require(failed))
        },
        Story(name: "an image in a lost host's pool is deregistered", steps: ["image.deregister/copies", "image.deregister/gone"]) {
            teller in
            let host = teller.cloud.hosts[1].id
            let image = try await teller.register("stranded")
            try await teller.settle()
            try await teller.lose(host)
            try await teller.cloud.images.deregister(image, by: teller.call)
            try await teller.settle()
            #expect(try await teller.image(image)?.state == .absent, "\(teller.note)")
            _ = try await teller.fence(host)
            #expect(try await teller.image(image) == nil, "\(teller.note)")
            try await teller.bringBack(host)
        },
    ]
}
