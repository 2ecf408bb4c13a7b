"""Translate the answers of stores: a table from their codes to reasons.

A code is that of the store's own error document (S3, Google Cloud Storage, Azure Blob Storage) or,
if it gives none, the HTTP status. A code in no table is `refused`: the store has refused, but may
not do so tomorrow.

Sources: Amazon S3 API reference "Error responses", AWS KMS API "Common errors", Google Cloud
Storage JSON and XML API "HTTP status and error codes", Azure "Blob service error codes" and "Common
REST API error codes", RFC 9110 and RFC 7725 for HTTP.
"""

from typing import Literal

Reason = Literal[
    "throttled", "conflict", "server", "expired",
    "exists", "absent", "no_bucket",
    "forbidden", "credentials", "requester_pays", "archived", "encrypted", "wrong_region",
    "locked", "legal", "refused",
]  # fmt: skip

# Another attempt in the same night may succeed. Expired: the role may get a new token.
RETRIED: frozenset[Reason] = frozenset({"throttled", "conflict", "server", "expired"})

_CODES: dict[Reason, str] = {
    "throttled": """
        SlowDown Throttling ThrottlingException ThrottledException RequestThrottled
        RequestThrottledException RequestLimitExceeded TooManyRequests TooManyRequestsException
        BandwidthLimitExceeded KMS.ThrottlingException KMS.RequestLimitExceeded
        rateLimitExceeded userRateLimitExceeded quotaExceeded ServerBusy""",
    "conflict": "ConditionalRequestConflict OperationAborted",
    "server": """
        InternalError InternalFailure ServiceUnavailable RequestTimeout IncompleteBody BadDigest
        RequestTimeTooSkewed KMS.KMSInternalException KMS.DependencyTimeoutException
        KMS.KeyUnavailableException backendError internalError OperationTimedOut""",
    "expired": "ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired",
    "exists": "PreconditionFailed conditionNotMet ConditionNotMet BlobAlreadyExists",
    "absent": "NoSuchKey NoSuchVersion NoSuchUpload notFound BlobNotFound ResourceNotFound",
    "no_bucket": "NoSuchBucket ContainerNotFound ContainerBeingDeleted ContainerDisabled",
    "forbidden": """
        AccessDenied AccessDeniedException AllAccessDisabled AllAccessDisabledException
        AccountProblem NotSignedUp MethodNotAllowed InvalidPayer CrossLocationLoggingProhibited
        forbidden insufficientPermissions accountDisabled ipRefererBlocked
        InsufficientAccountPermissions AuthorizationFailure AuthorizationPermissionMismatch
        AuthorizationProtocolMismatch AuthorizationSourceIPMismatch PublicAccessNotPermitted
        AccountIsDisabled KeyBasedAuthenticationNotPermitted""",
    "credentials": """
        InvalidToken InvalidAccessKeyId SignatureDoesNotMatch InvalidClientTokenId AuthFailure
        UnrecognizedClientException InvalidSecurity MissingAuthenticationToken
        MissingSecurityHeader IncompleteSignature OptInRequired authError required
        AuthenticationFailed InvalidAuthenticationInfo NoAuthenticationInformation
        AuthenticationRequired""",
    "requester_pays": """
        UserProjectMissing UserProjectAccessDenied UserProjectInvalid UserProjectInconsistent
        RequestPaymentRequired""",
    "archived": """
        InvalidObjectState ObjectNotInActiveTierError RestoreAlreadyInProgress
        BlobArchived BlobBeingRehydrated BlobNotRehydrated""",
    "encrypted": """
        ServerSideEncryptionConfigurationNotFoundError InvalidEncryptionAlgorithmError
        InvalidEncryptionMethodError
        CustomerEncryptionAlgorithmIsInvalid CustomerEncryptionKeyFormatIsInvalid
        CustomerEncryptionKeyIsIncorrect CustomerEncryptionKeySha256IsInvalid
        ResourceIsEncryptedWithCustomerEncryptionKey resourceIsEncryptedWithCustomerEncryptionKey
        ResourceNotEncryptedWithCustomerEncryptionKey customerEncryptionKeyIsIncorrect
        BlobUsesCustomerSpecifiedEncryption BlobCustomerSpecifiedEncryptionMismatch
        BlobDoesNotUseCustomerSpecifiedEncryption KeyVaultEncryptionKeyNotFound""",
    "wrong_region": """
        PermanentRedirect TemporaryRedirect Redirect AuthorizationHeaderMalformed IncorrectEndpoint
        IllegalLocationConstraintException""",
    "locked": """
        Locked LeaseIdMissing LeaseIdMismatchWithBlobOperation ResourceTypeMismatch
        ContainerBeingCreated PendingCopyOperation""",
    "legal": "UnavailableForLegalReasons BlockedByLegalHold",
}
REASONS: dict[str, Reason] = {code: why for why, text in _CODES.items() for code in text.split()}

STATUSES: dict[int, Reason] = {
    **dict.fromkeys((301, 302, 303, 307, 308), "wrong_region"),
    401: "credentials",
    402: "requester_pays",
    403: "forbidden",
    404: "absent",
    405: "forbidden",  # S3's answer to reading a delete marker
    407: "credentials",
    408: "server",
    409: "conflict",
    410: "absent",
    412: "exists",
    423: "locked",
    425: "server",
    429: "throttled",
    451: "legal",
    500: "server",
    502: "server",
    503: "throttled",
    504: "server",
}


def reason_of(code: str, status: int | None = None, message: str = "") -> Reason:
    """Return what an answer means. code, message: the store's, "" for none; status: of HTTP.

    Among S3's own codes, those of AWS KMS are `KMS.` and a name. `InvalidRequest` is a refusal of
    many kinds; only the message identifies those about keys and about who pays.
    """
    if code in REASONS:
        return REASONS[code]
    if code.startswith("KMS."):
        return "encrypted"
    if "server side encryption" in message.lower().replace("-", " "):
        return "encrypted"
    if "requester pays" in message.lower().replace("-", " "):
        return "requester_pays"
    if code.isdigit():
        status = int(code)
    if status is not None and status in STATUSES:
        return STATUSES[status]
    if status is not None and status >= 500:
        return "server"
    return "refused"
