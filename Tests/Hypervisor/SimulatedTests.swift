import Hypervisor
import Model
import Testing

@Suite struct SimulatedTests {
    private static let host = HostCapacity(cpus: 64, memory: .gibibytes(100_000), accelerator: .kvm, hypervisor: "simulated")

    private func machine(_ number: Int, memory: ByteCount = .mebibytes(512)) -> Machine {
        Machine(
            name: "i-\(number)", uuid: Machine.uuid(bits: UInt64(number)), virtualCPUs: 1, memory: memory, accelerator: .kvm,
            disks: [.init(serial: "vol-1", chain: [.init(path: "/p", format: .raw)])], uid: 1, gid: 1,
            metadata: ["epoch": "\(number)"])
    }

    @Test func lifeOfAMachine() async throws {
        let driver = SimulatedHypervisor(host: Self.host)
        let events = await driver.events()
        try await driver.start(machine(1), paused: true)
        #expect(try await driver.consoleOutput(of: "i-1", limit: 100).isEmpty)
        try await driver.resume("i-1")
        try await driver.resume("i-1")
        await #expect(throws: Fault.self) { try await driver.start(machine(1), paused: false) }
        #expect(try await driver.consoleOutput(of: "i-1", limit: 100) == Array("i-1 login: \r\n".utf8))
        try await driver.reboot("i-1", hard: true)
        #expect(await driver.reboots(of: "i-1") == 1)
        await #expect(throws: Fault.self) { try await driver.discard("i-1") }
        try await driver.guestPowersOff("i-1")
        let status = try #require(try await driver.list().first)
        #expect(status.state == .off && status.reason == .guestPoweredOff && status.metadata == ["epoch": "1"])
        try await driver.destroy("i-1")
        try await driver.discard("i-1")
        try await driver.discard("i-1")
        #expect(try await driver.list().isEmpty)
        var seen: [MachineEvent] = []
        for await event in events {
            seen.append(event)
            if case .stopped = event { break }
        }
        #expect(
            seen == [
                .started(name: "i-1"), .resumed(name: "i-1"), .rebooted(name: "i-1"),
                .stopped(name: "i-1", reason: .guestPoweredOff),
            ])
    }

    @Test func guestsAndDisksHaveAWillOfTheirOwn() async throws {
        let driver = SimulatedHypervisor(host: Self.host, behaviour: .init(obeysPowerButton: false))
        try await driver.start(machine(1), paused: false)
        try await driver.shutdown("i-1")
        #expect(try await driver.list().first?.state == .running, "this guest ignores the button")
        try await driver.diskFails("i-1", device: "virtio-disk0")
        #expect(try await driver.list().first?.reason == .diskError)
        try await driver.resume("i-1")
        try await driver.guestWrites("i-1", String(repeating: "x", count: 100_000))
        #expect(try await driver.consoleOutput(of: "i-1", limit: 1 << 20).count == 64 << 10)
        try await driver.crash("i-1")
        #expect(try await driver.list().first?.reason == .crashed)
        await #expect(throws: Fault.self) { try await driver.pause("i-1") }
    }

    @Test func faultsAndLatencies() async throws {
        let fail: @Sendable (SimulatedHypervisor.Call, String) -> Fault? = { call, name in
            call == .start && name == "i-2" ? Fault(.driver, "no") : nil
        }
        let latency: @Sendable (SimulatedHypervisor.Call) -> Duration = { $0 == .start ? .milliseconds(200) : .zero }
        let driver = SimulatedHypervisor(host: Self.host, behaviour: .init(fault: fail, latency: latency))
        let span = await ContinuousClock().measure {
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<50 { group.addTask { try? await driver.start(machine(number), paused: false) } }
            }
        }
        #expect(span >= .milliseconds(200) && span < .seconds(8), "starts wait side by side: \(span)")
        #expect(try await driver.list().count == 49)
        await driver.loseEverything()
        #expect(try await driver.list().isEmpty)
    }

    @Test func fullHostRefuses() async throws {
        let small = HostCapacity(cpus: 1, memory: .gibibytes(1), accelerator: .tcg, hypervisor: "simulated")
        let driver = SimulatedHypervisor(host: small)
        try await driver.start(machine(1), paused: false)
        try await driver.start(machine(2), paused: false)
        let fault = await #expect(throws: Fault.self) { try await driver.start(machine(3), paused: false) }
        #expect(fault?.code == .noCapacity)
        try await driver.destroy("i-1")
        try await driver.start(machine(3), paused: false)
    }

    @Test func slowReadersAreTold() async throws {
        let driver = SimulatedHypervisor(host: Self.host)
        let events = await driver.events()
        for number in 0..<2000 { try await driver.start(machine(number), paused: false) }
        try await driver.destroy("i-0")
        var lost = false
        for await event in events {
            if event == .lost { lost = true }
            if event == .stopped(name: "i-0", reason: .destroyed) { break }
        }
        #expect(lost)
    }

    @Test func tenThousandMachinesAreCheap() async throws {
        let driver = SimulatedHypervisor(host: Self.host)
        let span = try await ContinuousClock().measure {
            for number in 0..<10_000 { try await driver.start(machine(number), paused: false) }
            #expect(try await driver.list().count == 10_000)
        }
        #expect(span < .seconds(5), "\(span)")
    }
}
