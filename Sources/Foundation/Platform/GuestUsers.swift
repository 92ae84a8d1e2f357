//  The users that guests run as. They have numbers only, in a range that systemd's registry of user
//  ids leaves unused (systemd.io/UIDS-GIDS), so that no account or container of the host is among
//  them.

/// A host's range of guest users. A user's group has the same number.
public enum GuestUsers {
    public static let range: ClosedRange<UInt32> = 0x7000_0000...0x7000_ffff

    /// The user of the guest with this number on its host; nil beyond the range.
    public static func user(_ number: Int) -> UInt32? {
        guard let number = UInt32(exactly: number), number < range.count else { return nil }
        return range.lowerBound + number
    }
}
