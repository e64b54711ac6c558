package location

import "slices"

// The regions of AWS that a registry takes without regionendpoint: those of the
// SDK that it is built with, aws-sdk-go 1.15.11 for 2.8.3 (vendor.conf) and
// 1.55.5 for 3.1.2 (go.mod).
var (
	regions2 = []string{
		"ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1", "cn-north-1", "cn-northwest-1",
		"eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-gov-west-1", "us-west-1", "us-west-2",
	}
	regions3 = slices.Concat(regions2, []string{
		"af-south-1", "ap-east-1", "ap-northeast-3", "ap-south-2", "ap-southeast-3", "ap-southeast-4", "ca-west-1", "eu-central-2", "eu-isoe-west-1",
		"eu-north-1", "eu-south-1", "eu-south-2", "il-central-1", "me-central-1", "me-south-1", "us-gov-east-1", "us-iso-east-1", "us-iso-west-1",
		"us-isob-east-1",
	})
)
