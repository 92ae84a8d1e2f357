//  The contracts' messages under the names that the rest of the house uses.

public typealias ClusterFabric = Karri_Fabric_ClusterFabric
public typealias FromOwner = Karri_Fabric_FromOwner
public typealias ToOwner = Karri_Fabric_ToOwner
public typealias Hello = Karri_Fabric_Hello
public typealias Welcome = Karri_Fabric_Welcome
public typealias DocumentUpdate = Karri_Fabric_DocumentUpdate
public typealias Change = Karri_Fabric_Change
public typealias Applied = Karri_Fabric_Applied
public typealias Reports = Karri_Fabric_Reports
public typealias Report = Karri_Fabric_Report
public typealias Question = Karri_Fabric_Question
public typealias Answer = Karri_Fabric_Answer

public typealias MachineEntry = Karri_Fabric_MachineEntry
public typealias MachineDisk = Karri_Fabric_MachineDisk
public typealias MachinePort = Karri_Fabric_MachinePort
public typealias DiskEntry = Karri_Fabric_DiskEntry
public typealias ImageEntry = Karri_Fabric_ImageEntry
public typealias DomainEntry = Karri_Fabric_DomainEntry
public typealias SubnetEntry = Karri_Fabric_SubnetEntry
public typealias PortEntry = Karri_Fabric_PortEntry
public typealias GroupEntry = Karri_Fabric_GroupEntry
public typealias RuleEntry = Karri_Fabric_RuleEntry
public typealias GuestEntry = Karri_Fabric_GuestEntry
public typealias HostEntry = Karri_Fabric_HostEntry

public typealias Administration = Karri_Fabric_Administration
public typealias StatusRequest = Karri_Fabric_StatusRequest
public typealias StatusReply = Karri_Fabric_StatusReply
public typealias HostStatus = Karri_Fabric_HostStatus
public typealias TraceRequest = Karri_Fabric_TraceRequest
public typealias TraceReply = Karri_Fabric_TraceReply
public typealias TraceLine = Karri_Fabric_TraceLine
public typealias CreateAccountRequest = Karri_Fabric_CreateAccountRequest
public typealias CreateAccessKeyRequest = Karri_Fabric_CreateAccessKeyRequest
public typealias AccountCredentials = Karri_Fabric_AccountCredentials
public typealias ListAccountsRequest = Karri_Fabric_ListAccountsRequest
public typealias ListAccountsReply = Karri_Fabric_ListAccountsReply
public typealias ImportImageRequest = Karri_Fabric_ImportImageRequest
public typealias ImportImageReply = Karri_Fabric_ImportImageReply
public typealias DescribeImageRequest = Karri_Fabric_DescribeImageRequest
public typealias ListImagesRequest = Karri_Fabric_ListImagesRequest
public typealias ListImagesReply = Karri_Fabric_ListImagesReply
public typealias ImageState = Karri_Fabric_ImageState
public typealias StopMachinesRequest = Karri_Fabric_StopMachinesRequest
public typealias StopMachinesReply = Karri_Fabric_StopMachinesReply
public typealias FenceHostRequest = Karri_Fabric_FenceHostRequest
public typealias FenceHostReply = Karri_Fabric_FenceHostReply
public typealias AcceptHostRequest = Karri_Fabric_AcceptHostRequest
public typealias AcceptHostReply = Karri_Fabric_AcceptHostReply
public typealias CheckRequest = Karri_Fabric_CheckRequest
public typealias CheckReply = Karri_Fabric_CheckReply
public typealias HeldMachine = Karri_Fabric_HeldMachine
public typealias HeldDisk = Karri_Fabric_HeldDisk
public typealias HeldImage = Karri_Fabric_HeldImage
public typealias HeldDomain = Karri_Fabric_HeldDomain

public typealias IdentityDirectory = Karri_Fabric_IdentityDirectory
public typealias IdentifyRequest = Karri_Fabric_IdentifyRequest
public typealias IdentifyReply = Karri_Fabric_IdentifyReply
public typealias SigningUser = Karri_Fabric_SigningUser
public typealias SigningAccount = Karri_Fabric_SigningAccount
public typealias FindAccountRequest = Karri_Fabric_FindAccountRequest
public typealias FindAccountReply = Karri_Fabric_FindAccountReply

public typealias EventAdministration = Karri_Fabric_EventAdministration
public typealias FeedEvent = Karri_Fabric_FeedEvent
public typealias ReadEventsRequest = Karri_Fabric_ReadEventsRequest

/// The sections of a host's document.
public enum Section {
    public static let machines = "machines"
    public static let disks = "disks"
    public static let images = "images"
    public static let edge = "edge"

    /// The section of one routing domain; `domain` is the id's 16 hex digits.
    public static func domain(_ domain: String) -> String { "domain/\(domain)" }

    /// The routing domain's hex id, if `section` is one.
    public static func domain(of section: String) -> String? {
        section.hasPrefix("domain/") ? String(section.dropFirst("domain/".count)) : nil
    }
}
public typealias ObjectAdministration = Karri_Fabric_ObjectAdministration
public typealias ListWorkersRequest = Karri_Fabric_ListWorkersRequest
public typealias ListWorkersReply = Karri_Fabric_ListWorkersReply
public typealias ObjectWorker = Karri_Fabric_ObjectWorker
public typealias ChangeWorkerRequest = Karri_Fabric_ChangeWorkerRequest
public typealias ListDamageRequest = Karri_Fabric_ListDamageRequest
public typealias ListDamageReply = Karri_Fabric_ListDamageReply
public typealias DamagedObject = Karri_Fabric_DamagedObject
public typealias ListUsageRequest = Karri_Fabric_ListUsageRequest
public typealias ListUsageReply = Karri_Fabric_ListUsageReply
public typealias BucketUsage = Karri_Fabric_BucketUsage
public typealias SetQuotaRequest = Karri_Fabric_SetQuotaRequest
public typealias SetQuotaReply = Karri_Fabric_SetQuotaReply
public typealias DescribeBucketRequest = Karri_Fabric_DescribeBucketRequest
public typealias DescribeBucketReply = Karri_Fabric_DescribeBucketReply
public typealias ListVersionsRequest = Karri_Fabric_ListVersionsRequest
public typealias ListedVersion = Karri_Fabric_ListedVersion
public typealias ReadVersionRequest = Karri_Fabric_ReadVersionRequest
public typealias VersionPiece = Karri_Fabric_VersionPiece
public typealias VersionBegin = Karri_Fabric_VersionBegin
public typealias PrepareImportRequest = Karri_Fabric_PrepareImportRequest
public typealias PrepareImportReply = Karri_Fabric_PrepareImportReply
public typealias FindVersionRequest = Karri_Fabric_FindVersionRequest
public typealias FindVersionReply = Karri_Fabric_FindVersionReply
public typealias WriteVersionReply = Karri_Fabric_WriteVersionReply
public typealias FinishImportRequest = Karri_Fabric_FinishImportRequest
public typealias FinishImportReply = Karri_Fabric_FinishImportReply
public typealias ListKeysRequest = Karri_Fabric_ListKeysRequest
public typealias ListKeysReply = Karri_Fabric_ListKeysReply
public typealias EncryptionKey = Karri_Fabric_EncryptionKey
public typealias CreateKeyRequest = Karri_Fabric_CreateKeyRequest
public typealias ChangeKeyRequest = Karri_Fabric_ChangeKeyRequest
