//  Bodies that no version names any more, inside a transaction of their shard. What lies in rows and segments
//  goes with its row, a file is left to the garbage collector, and so is a body of parts as a whole: whoever
//  reads it ends with all its bytes, and a change of its key is as short as any other.

import Database
import Model

/// What is left to do once bodies have been dropped.
struct DroppedBodies: Sendable {
    /// Whether there is something to be collected.
    var leavesGarbage = false
    /// Whether a segment has lost so much that it may be worth compacting.
    var leavesSparse = false
}

extension Writing {
    /// Makes garbage of a body.
    func drop(_ body: StoredBody, now: Instant, _ dropped: inout DroppedBodies) throws(Fault) {
        switch body.kind {
        case .inline: try run("DELETE FROM inline_body WHERE id = $1", [.integer(body.number)])
        case .file:
            try run("INSERT INTO loose_file (id, is_garbage, since) VALUES ($1, TRUE, $2)", [.integer(body.number), now.value])
            dropped.leavesGarbage = true
        case .segment: try dropFromSegment(body.number, &dropped)
        case .pieces:
            try run("INSERT INTO loose_pieces (detail) VALUES ($1)", [.integer(body.number)])
            dropped.leavesGarbage = true
        case .marker: break
        }
    }

    private func dropFromSegment(_ body: Int64, _ dropped: inout DroppedBodies) throws(Fault) {
        let found = try first("DELETE FROM segment_body WHERE id = $1 RETURNING segment, size", [.integer(body)]) {
            row throws(Fault) -> (segment: Int64, size: Int64) in (try row.take(), try row.take())
        }
        guard let found else { return }
        let left = try add(-found.size, to: UInt64(found.segment))
        if left < Segments.segmentBytes / 2 { dropped.leavesSparse = true }
    }

    /// Drops some pieces of a body of parts, and its row with the last of them.
    ///
    /// - Returns: Whether none is left.
    func takeApart(_ detail: Int64, most: Int, now: Instant, _ dropped: inout DroppedBodies) throws(Fault) -> Bool {
        let pieces = try rows(
            "SELECT number, body_kind, body FROM piece WHERE detail = $1 ORDER BY number LIMIT $2", [.integer(detail), most.value]
        ) { row throws(Fault) -> (number: Int64, body: StoredBody) in
            (try row.take(), try StoredBody(&row))
        }
        for piece in pieces { try drop(piece.body, now: now, &dropped) }
        if let last = pieces.last {
            try run("DELETE FROM piece WHERE detail = $1 AND number <= $2", [.integer(detail), .integer(last.number)])
        }
        guard pieces.count < most else { return false }
        try run("DELETE FROM loose_pieces WHERE detail = $1", [.integer(detail)])
        return true
    }

    /// Drops some uploads and parts of a bucket that is no more, and its row once there are none.
    ///
    /// - Returns: Whether none is left.
    func endUploads(ofGone bucket: Int64, most: Int, now: Instant, _ dropped: inout DroppedBodies) throws(Fault) -> Bool {
        var left = most
        while left > 0 {
            let next = try first(
                "SELECT key, id FROM upload WHERE bucket = $1 ORDER BY key, id LIMIT 1", [.integer(bucket)]
            ) { row throws(Fault) -> (key: [UInt8], id: String) in (try row.take(), try row.take()) }
            guard let next else {
                try run("DELETE FROM gone_bucket WHERE id = $1", [.integer(bucket)])
                return true
            }
            let parts = try rows(
                "SELECT number, body_kind, body FROM part WHERE upload = $1 ORDER BY number LIMIT $2", [next.id.value, left.value]
            ) { row throws(Fault) -> (number: Int64, body: StoredBody) in
                (try row.take(), try StoredBody(&row))
            }
            for part in parts { try drop(part.body, now: now, &dropped) }
            if let last = parts.last {
                try run("DELETE FROM part WHERE upload = $1 AND number <= $2", [next.id.value, .integer(last.number)])
            }
            left -= parts.count
            guard left > 0 else { return false }
            try run(
                "DELETE FROM upload WHERE bucket = $1 AND key = $2 AND id = $3", [.integer(bucket), .blob(next.key), next.id.value])
            left -= 1
        }
        return false
    }
}
