// Package fakeoss is an Alibaba OSS for tests, in this process. There is no
// such server to be had: the vendor's own emulator is of 2017, accepts a wrong
// Content-MD5, has no CRC64, and cannot complete an upload in parts.
//
// It is written from Alibaba's documentation, below
// www.alibabacloud.com/help/en/oss/developer-reference: include-signatures-in-the-authorization-header
// (V1), recommend-to-use-signature-version-4 (V4), putobject, getobject,
// headobject, copyobject, deleteobject, deletemultipleobjects, listobjects,
// listobjectsv2, initiatemultipartupload, uploadpart, uploadpartcopy,
// completemultipartupload, abortmultipartupload, listparts,
// listmultipartuploads, and the list of error codes.
//
// What its author has misread, both the fake and a client of his would have
// wrong alike. So two independent clients run against it: the vendor's SDK,
// under regferry's store, and the OSS driver of registry 2.8.3, which has an
// SDK of its own. Neither proves what the service itself does.
//
// # Limits
//
// Operations on objects only: buckets are made by [Server.Bucket], and have
// neither ACLs nor policies, versions, lifecycles, or logs. Access is denied
// where a test says so ([Server.Deny]). No signatures in the query, no posts of
// forms, no append, no symbolic links. Encryption is noted and not done; an
// object under KMS has an ETag that is no MD5. Storage classes are noted;
// archived objects cannot be read, and cannot be restored.
//
// Contents are files in one directory, so the memory of a client in the same
// process can be judged. What is written is not synced.
package fakeoss
