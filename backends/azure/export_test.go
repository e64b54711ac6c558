package azure

// CheckKey is for tests: there is no service at hand that changes names.
var CheckKey = checkKey
