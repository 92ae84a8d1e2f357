//  Tells a story with one worker that is killed, or repeats itself, at a given point, and with
//  another that comes after it.

import CloudTesting
import Compute
import Database
import Images
import Logging
import Model
import Operations
import Store
import Synchronization
import Testing

/// Strikes at the n-th visit of a point, once, and remembers where it came by.
final class Striker: Sendable {
    private struct State {
        var left: Int
        var hasStruck = false
        var visited: Set<String> = []
    }

    private let point: FailPoint?
    private let state: Mutex<State>

    init(_ point: FailPoint? = nil, visit: Int = 1) {
        self.point = point
        state = Mutex(State(left: visit))
    }

    var hasStruck: Bool { state.withLock(\.hasStruck) }
    /// `kind/step` of each step that ran.
    var visited: Set<String> { state.withLock(\.visited) }

    var failPoints: FailPoints {
        FailPoints { here in
            self.state.withLock { state in
                state.visited.insert("\(here.kind)/\(here.step)")
                guard here == self.point, !state.hasStruck else { return false }
                state.left -= 1
                state.hasStruck = state.left == 0
                return state.hasStruck
            }
        }
    }
}

/// What a story is told with.
final class Teller: Sendable {
    let cloud: TestCloud
    let striker: Striker
    /// In every expectation: what was struck.
    let note: String

    init(_ cloud: TestCloud, _ striker: Striker, note: String) {
        self.cloud = cloud
        self.striker = striker
        self.note = note
    }

    var call: Call { cloud.call(cloud.first) }

    /// Settles with the worker that is struck, and with its successor if it died. The invariants
    /// hold when it is dead, and in the end.
    func settle() async throws {
        do {
            try await cloud.settle(cloud.runner(striker.failPoints))
        } catch is Killed {
            #expect(try await cloud.complaints() == [], "\(note), dead")
            try await cloud.settle()
        }
        #expect(try await cloud.complaints() == [], "\(note)")
    }

    func launch(
        _ count: Int, settled: Bool = true, _ change: (inout LaunchRequest) -> Void = { _ in }
    ) async throws -> [ID<Instance>] {
        var request = cloud.request(count)
        request.userData = Array("#!/bin/sh".utf8)
        request.instanceTags = ["Name": "story"]
        request.volumeTags = ["Name": "story"]
        request.portTags = ["Name": "story"]
        change(&request)
        let made = try await cloud.compute.launch(request, by: call)
        #expect(made.count == count, "\(note)")
        if settled { try await settle() }
        return made.map(\.instance.id)
    }

    func stop(_ ids: [ID<Instance>]) async throws {
        _ = try await cloud.compute.stop(ids, by: call)
        try await settle()
    }

    func start(_ ids: [ID<Instance>]) async throws {
        _ = try await cloud.compute.start(ids, by: call)
        try await settle()
    }

    func terminate(_ ids: [ID<Instance>]) async throws {
        _ = try await cloud.compute.terminate(ids, by: call)
        try await settle()
        for id in ids { try await expect(id, .gone) }
    }

    func register(_ name: String) async throws -> ID<Image> {
        try await cloud.images.register(
            .init(name: name + note, description: "", purpose: .machine, isPublic: false, kernel: nil, ramdisk: nil),
            in: cloud.hosts[1].pool, by: call
        ).id
    }

    func image(_ id: ID<Image>) async throws -> Image? {
        try await cloud.engine.read { tx throws(Fault) in try tx.find(Image.table, id) }
    }

    func deregister(_ id: ID<Image>) async throws {
        try await cloud.images.deregister(id, by: call)
        try await settle()
        #expect(try await image(id) == nil, "\(note)")
        #expect(try await copies(of: id) == 0, "\(note)")
    }

    func copies(of id: ID<Image>) async throws -> Int {
        try await cloud.engine.read { tx throws(Fault) in try tx.copies(of: id).count }
    }

    // MARK: Lost hosts

    func host(of id: ID<Instance>) async throws -> ID<Host> {
        let holding = try await cloud.engine.read { tx throws(Fault) in try tx.holding(.machine, id.stored) }
        return try #require(holding?.host, "\(note)")
    }

    func machines(_ ids: [ID<Instance>], on host: ID<Host>) async throws -> [ID<Instance>] {
        var there: [ID<Instance>] = []
        for id in ids where try await self.host(of: id) == host { there.append(id) }
        return there
    }

    func mark(_ host: ID<Host>, _ state: Host.State) async throws {
        try await cloud.engine.write { tx throws(Fault) in try tx.set(state, of: host) }
    }

    /// The host does and says nothing from now on.
    func lose(_ host: ID<Host>, marked: Bool = true) async throws {
        cloud.owner.script { $0.silent.insert(host) }
        if marked { try await mark(host, .lost) }
    }

    func fence(_ host: ID<Host>) async throws -> ComputeService.FenceOutcome {
        let outcome = try await cloud.compute.fence(host: try await name(host), request: "fence")
        let again = try await cloud.compute.fence(host: try await name(host), request: "fence")
        #expect(again == ComputeService.FenceOutcome(), "\(note)")
        try await settle()
        return outcome
    }

    func bringBack(_ host: ID<Host>) async throws {
        _ = try await cloud.compute.accept(host: try await name(host), request: "accept")
        try await mark(host, .up)
        cloud.owner.script { $0.silent.remove(host) }
        try await settle()
    }

    private func name(_ host: ID<Host>) async throws -> String {
        let row = try await cloud.engine.read { tx throws(Fault) in try tx.find(Host.table, host) }
        return try #require(row).name
    }

    func refusesToStart(_ id: ID<Instance>) async throws -> Bool {
        do throws(Fault) {
            _ = try await cloud.compute.start([id], by: call)
            return false
        } catch { return error.code == .noCapacity }
    }

    /// Has the hosts fail at things of a kind while `body` runs.
    func failing(_ kind: Holding.Thing, _ fault: String, _ body: () async throws -> Void) async throws {
        cloud.owner.script { $0.failure = { $0.kind == kind ? fault : nil } }
        try await body()
        cloud.owner.script { $0.failure = { _ in nil } }
    }

    func expectFailedLaunch(_ reason: String) async throws {
        try await forgetCopies()
        for id in try await launch(1) { try await expect(id, .gone, because: reason) }
    }

    /// No host has a copy of the image after this, so that one is to be made.
    func forgetCopies() async throws {
        let image = cloud.image.id
        try await cloud.engine.write { tx throws(Fault) in
            for host in try tx.all(Host.table, where: "TRUE") {
                guard let copy = try tx.holding(.image, image.stored, in: host.pool) else { continue }
                try tx.release(copy)
            }
        }
    }

    func expect(_ id: ID<Instance>, _ phase: Instance.Phase, because reason: String? = nil) async throws {
        let row = try #require(try await cloud.instance(id), "\(note)")
        #expect(row.phase == phase, "\(note): \(row.fault ?? "")")
        if let reason { #expect(row.fault?.contains(reason) == true, "\(note): \(row.fault ?? "no reason")") }
    }
}
