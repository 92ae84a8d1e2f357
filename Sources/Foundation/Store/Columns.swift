//  The words of the model as columns.

import Database
import Model

extension Account.State: Column {}
extension Host.State: Column {}
extension Image.Purpose: Column {}
extension Image.State: Column {}
extension Volume.Desired: Column {}
extension KeyPair.Algorithm: Column {}
extension Instance.Desired: Column {}
extension Instance.Power: Column {}
extension Instance.Task: Column {}
extension Holding.Thing: Column {}
extension Holding.Wanted: Column {}
extension Holding.Observed: Column {}
extension Operation.State: Column {}
extension Kind: Column {}

extension Instance.Options: Column {
    public static var type: ValueType { .text }
    public var value: Value { JSON(self).value }
    public static func take(_ row: inout Row) throws(Fault) -> Instance.Options {
        try JSON<Instance.Options>.take(&row).document
    }
}
